-- Append messages to a queue, all or none; make the queue if it is missing.
--
-- KEYS    those of _keys.lua; 17: set of tokens; 18: record of the idempotency key, if one is given
-- ARGV    now, now in us, token, version, ref of the queue, its name,
--         length of the digest (0: no key), record of the key, milliseconds to keep it,
--         how to announce it (command, channel, by whom),
--         then of each message: id, message, end of its life, end of its delay ('' if none)
-- Answer  {'done'}; {'stale', document, version}; {'reused'}; {'known', token and number of messages}
-- Cost    the number of messages * (log of the depth); sweeps twice as many expired ones on the way
--
-- A first write that needs memory comes first, so that a full server refuses before anything is done.
-- @include keys messages queue announce
local now, token, version, ref = tonumber(ARGV[1]), ARGV[3], ARGV[4], ARGV[5]
local digest_length, record = tonumber(ARGV[7]), ARGV[8]

if digest_length > 0 then
  local known = call('GET', KEYS[18])
  if known and struct.unpack('>d', known) > now then
    -- After the time: two bytes of length, the digest.
    if string.sub(known, 9, 10 + digest_length) ~= string.sub(record, 9, 10 + digest_length) then
      return {'reused'}
    end
    return {'known', string.sub(known, 11 + digest_length)}
  end
end

local state = call('HMGET', STATE, 'v', 'd', 's')
if (state[1] or '') ~= version then
  if call('SISMEMBER', KEYS[17], token) == 1 then return {'done'} end
  return {'stale', state[2] or '{}', state[1] or ''}
end
if call('SADD', KEYS[17], token) == 0 then return {'done'} end
call('PEXPIRE', KEYS[17], RETRY_SECONDS * 1000)
if digest_length > 0 then call('SET', KEYS[18], record, 'PX', ARGV[9]) end
if not state[1] then open(ARGV[6], '{}', '') end

local sequence = math.max(tonumber(state[3] or 0) + 1, tonumber(ARGV[2]))
local stored, free, delayed, delays, expiry = {}, {}, {}, {}, {}
local first_end
for i = 13, #ARGV, 4 do
  local id, ends, due = ARGV[i], ARGV[i + 2], ARGV[i + 3]
  stored[#stored + 1] = id
  stored[#stored + 1] = struct.pack('>d', sequence) .. ARGV[i + 1]
  expiry[#expiry + 1] = ends
  expiry[#expiry + 1] = id
  local place = free
  if due ~= '' then
    place = delayed
    delays[#delays + 1] = due
    delays[#delays + 1] = id
  end
  place[#place + 1] = sequence
  place[#place + 1] = id
  if not first_end or tonumber(ends) < first_end then first_end = tonumber(ends) end
  sequence = sequence + 1
end
call('HSET', STATE, 's', string.format('%.0f', sequence - 1))
each('HSET', MESSAGES, stored)
each('ZADD', FREE, free)
each('ZADD', DELAYED, delayed)
each('ZADD', DELAYS, delays)
each('ZADD', EXPIRY, expiry)
call('ZADD', AGENDA, 'LT', first_end, ref)
sweep(now, math.min(#stored, DUE_PER_STEP))
announce(ARGV[10], ARGV[11], ARGV[12], #free / 2, #delayed / 2)
return {'done'}
