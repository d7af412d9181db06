-- Sweep what is over in a queue, and say when to look at it again.
--
-- KEYS    see @keys; BURIALS: see accept.lua
-- ARGV    now, now in us, limit, ref of the queue
-- Answer  how much was swept
-- Cost    limit * log of the depth
-- @keys STATE MESSAGES TOUCHED FREE HELD HOLDS DELAYED DELAYS EXPIRY CLAIMS ENDS PILE PILED AGENDA PILES + BURIALS
-- @include keys drop bounds sweep letters
local now, now_text, limit, ref = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4]
local swept = sweep_messages(now_text, math.min(limit, DUE_PER_STEP))
local function left() return math.min(limit - swept, DUE_PER_STEP) end

if left() > 0 then swept = swept + sweep_claims(now_text, left()) end
local burials = left() > 0 and call('ZRANGEBYSCORE', BURIALS, '-inf', now_text, 'LIMIT', 0, left()) or {}
each('ZREM', BURIALS, burials)
swept = swept + #burials
local pile, expired = letters(now)
clear(expired, ref)
swept = swept + #expired

-- The first end among those that are left; the pile's by looking at the first that are not over. Such
-- an end may be `now` in us all the same: at that time the queue would be swept again, and in vain.
local next_at
local function consider(at) next_at = earlier(next_at, at) end
for _, set in ipairs({EXPIRY, ENDS, BURIALS}) do consider(first_of(set)) end
local soonest = tonumber(now_text) + 1
for _, letter in ipairs(pile) do
  local ends = tonumber(us((struct.unpack('>d', letter[5]))))
  consider(string.format('%.0f', math.max(ends, soonest)))
end
if #expired > 0 then consider(now_text) end  -- there may be more behind them
if next_at then call('ZADD', AGENDA, next_at, ref) else call('ZREM', AGENDA, ref) end
-- Not of a queue that is gone: nothing would take that away again.
if call('EXISTS', STATE) == 1 then remember('x', next_at) end
return swept
