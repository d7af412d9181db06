-- Remove messages, whatever their state. Each is free or held or delayed, if it is there at all.
local function drop(ids)
  each('HDEL', MESSAGES, ids)
  each('HDEL', TOUCHED, ids)
  each('ZREM', EXPIRY, ids)
  local left = #ids - each('ZREM', HELD, ids)
  if left < #ids then each('ZREM', HOLDS, ids) end
  if left > 0 then left = left - each('ZREM', FREE, ids) end
  if left > 0 and each('ZREM', DELAYED, ids) > 0 then each('ZREM', DELAYS, ids) end
end
