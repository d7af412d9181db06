-- What every script is handed first. All keys of a queue, and of the partition it is in, are in one
-- slot of a Cluster; each script declares them all, so that a slot on the move is noticed.
--
-- STATE     hash     v, d: version and document of the metadata, missing with the queue;
--                    s: last sequence, f: last fence, p: number of the last burial
-- MESSAGES  hash     id -> sequence (8 bytes), then the message as posted (records.py)
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
-- AGENDA    zset     of the partition: queue by the time when something in it is to be swept
-- PILES     set      of the partition: queues whose pile is not empty
local STATE, MESSAGES, TOUCHED, FREE, HELD, HOLDS, DELAYED, DELAYS = unpack(KEYS, 1, 8)
local EXPIRY, CLAIMS, ENDS, PILE, PILED, NAMES, AGENDA, PILES = unpack(KEYS, 9, 16)
local call = redis.call

local RETRY_SECONDS = 60      -- how long tokens are remembered
local DUE_PER_STEP = 1000     -- messages swept, and brought back, in one step at most
local LETTERS_PER_STEP = 100

-- Lua's stack holds 8,000 values: longer lists go to Redis in parts; an even number, for pairs.
local PART = 2000

local function each(command, key, list)
  for first = 1, #list, PART do
    call(command, key, unpack(list, first, math.min(first + PART - 1, #list)))
  end
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
