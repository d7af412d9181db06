-- How many messages are free, and when the next one that waits gets free. Changes nothing.
--
-- KEYS    see @keys
-- ARGV    now in us
-- Answer  {free, time in us or ''}; those that are over and not swept yet count
-- Cost    log of the depth
-- @keys FREE DELAYS HOLDS
-- @include keys
local now = ARGV[1]
local free = call('ZCARD', FREE)
local soonest = ''
for _, waiting in ipairs({DELAYS, HOLDS}) do
  free = free + call('ZCOUNT', waiting, '-inf', now)
  local due = call('ZRANGEBYSCORE', waiting, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  if due and (soonest == '' or tonumber(due) < tonumber(soonest)) then soonest = due end
end
return {free, soonest}
