-- End of life, ttl and claim count of a message, as it was posted or as it was changed since.
local function life(message, touched)
  if touched then
    local ends, ttl, count = struct.unpack('>dII', touched)
    return ends, ttl, count
  end
  local ends, ttl = struct.unpack('>dI', message, 17)
  return ends, ttl, 0
end

-- Append a message to an answer; its claim is shown while it holds it only.
local function show(answer, id, message, touched, held)
  answer[#answer + 1] = id
  answer[#answer + 1] = message
  answer[#answer + 1] = touched and (held and touched or string.sub(touched, 1, 16)) or ''
end

-- Remove messages, whatever their state.
local function drop(ids)
  each('HDEL', MESSAGES, ids)
  each('HDEL', TOUCHED, ids)
  each('ZREM', FREE, ids)
  each('ZREM', HELD, ids)
  each('ZREM', HOLDS, ids)
  each('ZREM', DELAYED, ids)
  each('ZREM', DELAYS, ids)
  each('ZREM', EXPIRY, ids)
end

-- Remove up to `limit` expired messages; how many there were.
local function sweep(now, limit)
  local over = call('ZRANGEBYSCORE', EXPIRY, '-inf', now, 'LIMIT', 0, limit)
  if #over > 0 then drop(over) end
  return #over
end

-- Free those whose time in `waiting` is over, the longest over first, at their old places.
local function free_due(now, limit, waiting, places)
  local due = call('ZRANGEBYSCORE', waiting, '-inf', now, 'LIMIT', 0, limit)
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

-- Bring the queue up to now, as far as one step does; true if more is to be done.
local function settle(now)
  local swept = sweep(now, DUE_PER_STEP)
  local delayed = free_due(now, DUE_PER_STEP, DELAYS, DELAYED)
  local held = free_due(now, DUE_PER_STEP, HOLDS, HELD)
  return math.max(swept, delayed, held) == DUE_PER_STEP
end

-- True if so much is over or due that a reading step, which changes nothing, would be long.
local function unsettled(now)
  return call('ZCOUNT', EXPIRY, '-inf', now) > DUE_PER_STEP
    or call('ZCOUNT', DELAYS, '-inf', now) > DUE_PER_STEP
    or call('ZCOUNT', HOLDS, '-inf', now) > DUE_PER_STEP
end
