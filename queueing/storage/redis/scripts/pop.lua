-- Delete the oldest free messages and give them back.
--
-- KEYS    those of _keys.lua; 17: record of what was popped under this token
-- ARGV    now, limit
-- Answer  {id, message, touched, ...}; 'again': much was over or due, do the same again
-- Cost    limit * (log of the depth), and a settling of DUE_PER_STEP of each kind at most
--
-- What was popped is kept for a minute: a repeat gets it again, it is the only copy there is.
-- @include keys messages
local now, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local before = call('GET', KEYS[17])
if before then return cmsgpack.unpack(before) end

local unfinished = settle(now)
local answer = {}
local count, looked, exhausted = 0, 0, false
while count < limit and looked < limit + DUE_PER_STEP do
  local ids = call('ZRANGE', FREE, 0, math.min(limit - count, PART) - 1)
  if #ids == 0 then
    exhausted = true
    break
  end
  local messages = all('HMGET', MESSAGES, ids)
  local touched = all('HMGET', TOUCHED, ids)
  for i, id in ipairs(ids) do
    if life(messages[i], touched[i]) > now then
      count = count + 1
      show(answer, id, messages[i], touched[i], false)
    end
  end
  looked = looked + #ids
  drop(ids)
end
if count == 0 then
  if unfinished or not exhausted then return 'again' end
  return answer
end
call('SET', KEYS[17], cmsgpack.pack(answer), 'PX', RETRY_SECONDS * 1000)
return answer
