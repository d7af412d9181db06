-- Remove up to `limit` expired messages; how many there were.
local function sweep_messages(now, limit)
  local over = call('ZRANGEBYSCORE', EXPIRY, '-inf', now, 'LIMIT', '0', limit)
  if #over > 0 then drop(over) end
  return #over
end

-- Remove up to `limit` records of claims whose time is over; how many there were.
local function sweep_claims(now, limit)
  local over = call('ZRANGEBYSCORE', ENDS, '-inf', now, 'LIMIT', '0', limit)
  each('HDEL', CLAIMS, over)
  each('ZREM', ENDS, over)
  return #over
end

-- Sweep a little on the way. To be asked when `x` is over. What is swept is shown to nobody anyhow:
-- so the next time is a second late, and most steps have nothing to sweep.
local function tidy(now, limit)
  if sweep_messages(now, limit) == limit or sweep_claims(now, limit) == limit then return end
  local first = earlier(first_of(EXPIRY), first_of(ENDS))
  remember('x', first and string.format('%.0f', tonumber(first) + 1000000))
end
