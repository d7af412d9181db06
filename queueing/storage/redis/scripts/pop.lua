-- Delete the oldest free messages and give them back.
--
-- KEYS    see @keys; RECORD: what was popped under this token
-- ARGV    now, now in us, limit
-- Answer  {id, message, touched, ...}; 'again': much was over or due, do the same again
-- Cost    limit * (log of the depth), and a settling of DUE_PER_STEP of each kind at most
--
-- What was popped is kept for a minute: a repeat gets it again, it is the only copy there is.
-- @keys STATE MESSAGES TOUCHED FREE HELD HOLDS DELAYED DELAYS EXPIRY CLAIMS ENDS + RECORD
-- @include keys messages drop bounds settle sweep
local now, now_us, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local before = call('GET', RECORD)
if before then return cmsgpack.unpack(before) end

local waiting_until, sweep_at = unpack(call('HMGET', STATE, 'w', 'x'))
local unfinished = waiting_until and tonumber(waiting_until) <= now_us and settle(ARGV[2])
if sweep_at and tonumber(sweep_at) <= now_us then tidy(ARGV[2], DUE_PER_STEP) end
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
call('SET', RECORD, cmsgpack.pack(answer), 'PX', RETRY_MILLISECONDS)
return answer
