-- Take burials off the pile.
local function clear(burials, ref)
  if #burials == 0 then return end
  each('HDEL', PILE, burials)
  each('ZREM', PILED, burials)
  if call('EXISTS', PILED) == 0 then call('SREM', PILES, ref) end
end

-- The first letters on the pile that have not expired; and the names of those before that have.
local function letters(now)
  local shown, over = {}, {}
  for part = 0, 9 do  -- a wall of expired ones is passed in parts, each by a step of its own
    local first = part * LETTERS_PER_STEP
    local burials = call('ZRANGE', PILED, first, first + LETTERS_PER_STEP - 1)
    if #burials == 0 then break end
    local stored = call('HMGET', PILE, unpack(burials))
    for i, burial in ipairs(burials) do
      local letter = cmsgpack.unpack(stored[i])
      if struct.unpack('>d', letter[4]) <= now then
        over[#over + 1] = burial
      elseif #shown < LETTERS_PER_STEP then
        shown[#shown + 1] = {burial, unpack(letter)}
      end
    end
    if #shown > 0 then break end
  end
  return shown, over
end
