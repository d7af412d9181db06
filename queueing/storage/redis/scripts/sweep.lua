-- Sweep what is over in a queue, and say when to look at it again.
--
-- KEYS    those of _keys.lua; 17: BURIALS
-- ARGV    now, limit, ref of the queue
-- Answer  how much was swept
-- Cost    limit * log of the depth
-- @include keys messages letters
local now, limit, ref = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local swept = sweep(now, math.min(limit, DUE_PER_STEP))

local function first_of(set, number)
  return call('ZRANGEBYSCORE', set, '-inf', now, 'LIMIT', 0, number)
end
local function left() return math.min(limit - swept, DUE_PER_STEP) end

local claims = left() > 0 and first_of(ENDS, left()) or {}
each('HDEL', CLAIMS, claims)
each('ZREM', ENDS, claims)
swept = swept + #claims
local burials = left() > 0 and first_of(KEYS[17], left()) or {}
each('ZREM', KEYS[17], burials)
swept = swept + #burials
local pile, expired = letters(now)
clear(expired, ref)
swept = swept + #expired

-- The first end among those that are left; the pile's, which is short, by looking.
local next_at
local function consider(at)
  if at and (not next_at or at < next_at) then next_at = at end
end
for _, set in ipairs({EXPIRY, ENDS, KEYS[17]}) do
  consider(tonumber(call('ZRANGE', set, 0, 0, 'WITHSCORES')[2]))
end
for _, letter in ipairs(pile) do consider((struct.unpack('>d', letter[5]))) end
if #expired > 0 then consider(now) end  -- there may be more behind them
if next_at then call('ZADD', AGENDA, next_at, ref) else call('ZREM', AGENDA, ref) end
return swept
