-- Messages by id.
--
-- KEYS    those of _keys.lua
-- ARGV    now, ids
-- Answer  {id, message, touched, ...} of those that exist, in the order of the ids
-- Cost    the number of ids
-- @include keys messages
local now = tonumber(ARGV[1])
local ids = {}
for i = 2, #ARGV do ids[i - 1] = ARGV[i] end
local messages = all('HMGET', MESSAGES, ids)
local touched = all('HMGET', TOUCHED, ids)
local holds = all('ZMSCORE', HOLDS, ids)
local answer = {}
for i, id in ipairs(ids) do
  if messages[i] and life(messages[i], touched[i]) > now then
    show(answer, id, messages[i], touched[i], holds[i] and tonumber(holds[i]) > now)
  end
end
return answer
