-- End of life, ttl and claim count of a message, as it was posted or as it was changed since.
local function life(message, touched)
  if touched then
    local ends, ttl, count = struct.unpack('>dII', touched)
    return ends, ttl, count
  end
  local ends, ttl = struct.unpack('>dI', message, 25)
  return ends, ttl, 0
end

-- Append a message to an answer; its claim is shown while it holds it only.
local function show(answer, id, message, touched, held)
  answer[#answer + 1] = id
  answer[#answer + 1] = message
  answer[#answer + 1] = touched and (held and touched or string.sub(touched, 1, 16)) or ''
end
