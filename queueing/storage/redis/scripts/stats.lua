-- Count the messages of a queue; find the oldest and the newest. Changes nothing.
--
-- KEYS    see @keys
-- ARGV    now in us
-- Answer  {all, claimed, id and message of the oldest, of the newest}; {0, 0} when there is none;
--         'settle': much is over, settle first
-- Cost    log of the depth; DUE_PER_STEP at most while so many expired ones wait to be swept
-- @keys MESSAGES FREE HELD HOLDS DELAYED EXPIRY
-- @include keys
local now = tonumber(ARGV[1])
local count = call('ZCOUNT', EXPIRY, '(' .. ARGV[1], '+inf')
if count == 0 then return {0, 0} end
local over = call('ZCOUNT', EXPIRY, '-inf', ARGV[1])
if over > DUE_PER_STEP then return 'settle' end
-- A claim keeps its messages alive: none under a live one has expired.
local claimed = call('ZCOUNT', HOLDS, '(' .. ARGV[1], '+inf')

-- The first of a set, from its low or its high end, that has not expired: at most `over` have.
local function first(place, command)
  local range = call(command, place, 0, over, 'WITHSCORES')
  local ids = {}
  for i = 1, #range, 2 do ids[#ids + 1] = range[i] end
  if #ids == 0 then return nil end
  local ends = all('ZMSCORE', EXPIRY, ids)
  for i, id in ipairs(ids) do
    if tonumber(ends[i]) > now then return tonumber(range[2 * i]), id end
  end
end

local function extreme(command, better)
  local best, best_id
  for _, place in ipairs({FREE, HELD, DELAYED}) do
    local sequence, id = first(place, command)
    if sequence and (not best or better(sequence, best)) then best, best_id = sequence, id end
  end
  return best_id
end
local oldest = extreme('ZRANGE', function(a, b) return a < b end)
local newest = extreme('ZREVRANGE', function(a, b) return a > b end)
local posted = {}
for i, message in ipairs(call('HMGET', MESSAGES, oldest, newest)) do posted[i] = string.sub(message, 17, 24) end
return {count, claimed, oldest, posted[1], newest, posted[2]}
