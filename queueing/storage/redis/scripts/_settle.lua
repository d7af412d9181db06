-- Free those whose time in `waiting` is over, the longest over first, at their old places.
local function free_due(now, waiting, places)
  local due = call('ZRANGEBYSCORE', waiting, '-inf', now, 'LIMIT', '0', DUE_PER_STEP)
  if #due == 0 then return 0 end
  local sequences = all('ZMSCORE', places, due)
  local free = {}
  for i, id in ipairs(due) do
    free[2 * i - 1] = sequences[i]
    free[2 * i] = id
  end
  each('ZREM', waiting, due)
  each('ZREM', places, due)
  each('ZADD', FREE, free)
  return #due
end

-- Free all that is due, as far as one step does; true if more is. To be asked when `w` is over.
local function settle(now)
  local delayed = free_due(now, DELAYS, DELAYED)
  local held = free_due(now, HOLDS, HELD)
  if math.max(delayed, held) == DUE_PER_STEP then return true end
  remember('w', earlier(first_of(DELAYS), first_of(HOLDS)))
  return false
end
