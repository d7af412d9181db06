-- Messages by id.
--
-- KEYS    see @keys
-- ARGV    now, now in us, ids
-- Answer  {id, message, touched, ...} of those that exist, in the order of the ids
-- Cost    the number of ids
-- @keys MESSAGES TOUCHED HOLDS
-- @include keys messages
local now, now_us = tonumber(ARGV[1]), tonumber(ARGV[2])
local ids = {}
for i = 3, #ARGV do ids[i - 2] = ARGV[i] end
local messages = all('HMGET', MESSAGES, ids)
local touched = all('HMGET', TOUCHED, ids)
local holds = all('ZMSCORE', HOLDS, ids)
local answer = {}
for i, id in ipairs(ids) do
  if messages[i] and life(messages[i], touched[i]) > now then
    show(answer, id, messages[i], touched[i], holds[i] and tonumber(holds[i]) > now_us)
  end
end
return answer
