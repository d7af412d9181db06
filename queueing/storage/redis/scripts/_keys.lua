-- The keys of a queue, and of the partition it is in; all are in one slot of a Cluster. A line
-- `-- @keys A B + C` in a script stands for locals of these names. Each script is handed those that
-- it may touch, so that a slot on the move is noticed; those after the + are its own.
--
-- STATE     hash     v, d: version and document of the metadata, missing with the queue;
--                    s: last sequence, f: last fence, p: number of the last burial;
--                    w, x: before these times nothing waits to be freed, nothing is to be swept
-- MESSAGES  hash     id -> sequence (16 digits), then the message as posted (records.py)
-- TOUCHED   hash     id -> end of life, ttl, claim count, then the claim that took it last;
--                    of messages that a claim or a forward has changed only
-- FREE      zset     id by sequence: neither delayed nor claimed when somebody last looked
-- HELD      zset     id by sequence: claimed              HOLDS   zset  the same by end of the claim
-- DELAYED   zset     id by sequence: delayed              DELAYS  zset  the same by end of the delay
-- EXPIRY    zset     id by end of life: every message
-- CLAIMS    hash     claim -> fence, ttl, claimed at, end (-1: released), ids
-- ENDS      zset     claim by the time from which its record may go
-- PILE      hash     burial -> target, id, message, touched        PILED  zset  burial in order
-- NAMES     zset     of the partition: names of the project's queues, in byte order
-- AGENDA    zset     of the partition: queue by the time when something in it is to be swept, which is
--                    at most the queue's x
-- PILES     set      of the partition: queues whose pile is not empty
--
-- Times in zsets and in STATE are whole microseconds: Redis keeps such numbers in 8 bytes and reads
-- them fast. Lua's numbers go to Redis as text, which is slow: what is at hand as text stays text.
local call = redis.call

local RETRY_MILLISECONDS = '60000'  -- how long tokens are remembered
local DUE_PER_STEP = 1000     -- messages swept, and brought back, in one step at most
local LETTERS_PER_STEP = 100

-- Lua's stack holds 8,000 values: longer lists go to Redis in parts; an even number, for pairs.
local PART = 2000

-- Run a command on all of a list; the sum of what it answers, which is how many it changed.
local function each(command, key, list)
  local changed = 0
  for first = 1, #list, PART do
    changed = changed + call(command, key, unpack(list, first, math.min(first + PART - 1, #list)))
  end
  return changed
end

local function all(command, key, list)
  if #list <= PART then return call(command, key, unpack(list)) end
  local answers = {}
  for first = 1, #list, PART do
    local part = call(command, key, unpack(list, first, math.min(first + PART - 1, #list)))
    for i = 1, #part do answers[#answers + 1] = part[i] end
  end
  return answers
end

-- A time in seconds as zsets have it, as text.
local function us(seconds) return string.format('%.0f', seconds * 1000000) end
