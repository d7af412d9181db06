-- Append messages to a queue, all or none; make the queue if it is missing.
--
-- KEYS    see @keys; TOKENS: set of tokens; KNOWN: record of the idempotency key, if one is given
-- ARGV    now in us, token, version, ref of the queue, its name, record of the key ('' if none is
--         given), milliseconds to keep it, how to announce it (command, channel, what to say),
--         the first end of a life, the first end of a delay ('' if none),
--         then of each message: id, message, end of its life, end of its delay ('' if none), all in us
-- Answer  {'done'}; {'stale', document, version}; {'reused'}; {'known', token and number of messages}
-- Cost    8 commands, the number of messages * (log of the depth); sweeps twice as many expired ones
--         on the way when there are some
--
-- A first write that needs memory comes first, so that a full server refuses before anything is done.
-- @keys STATE MESSAGES TOUCHED FREE HELD HOLDS DELAYED DELAYS EXPIRY CLAIMS ENDS NAMES AGENDA + TOKENS KNOWN
-- @include keys drop bounds sweep queue
local now_text, token, version, ref, record = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[6]
local first_end, first_due, FIRST = ARGV[11], ARGV[12], 13
local now_us = tonumber(now_text)

if record ~= '' then
  local known = call('GET', KNOWN)
  if known and struct.unpack('>d', known) > now_us / 1000000 then
    -- After the time: two bytes of length, the digest.
    local digest_ends = 10 + struct.unpack('>H', record, 9)
    if string.sub(known, 9, digest_ends) ~= string.sub(record, 9, digest_ends) then
      return {'reused'}
    end
    return {'known', string.sub(known, digest_ends + 1)}
  end
end

local there, document, last, waiting_until, sweep_at = unpack(call('HMGET', STATE, 'v', 'd', 's', 'w', 'x'))
last, sweep_at = tonumber(last or 0), sweep_at and tonumber(sweep_at) or math.huge
if (there or '') ~= version then
  if call('SISMEMBER', TOKENS, token) == 1 then return {'done'} end
  return {'stale', document or '{}', there or ''}
end
if call('SADD', TOKENS, token) == 0 then return {'done'} end
call('PEXPIRE', TOKENS, RETRY_MILLISECONDS)
if record ~= '' then call('SET', KNOWN, record, 'PX', ARGV[7]) end
if not there then open(ARGV[5], '{}', '') end

local sequence, place = now_us, now_text
if last >= now_us then
  sequence = last + 1
  place = string.format('%.0f', sequence)
end
local stored, free, delayed, delays, expiry = {}, {}, {}, {}, {}
for i = FIRST, #ARGV, 4 do
  local id, ends, due = ARGV[i], ARGV[i + 2], ARGV[i + 3]
  if i > FIRST then
    sequence = sequence + 1
    place = string.format('%.0f', sequence)
  end
  stored[#stored + 1] = id
  stored[#stored + 1] = (#place == 16 and place or string.format('%016.0f', sequence)) .. ARGV[i + 1]
  expiry[#expiry + 1] = ends
  expiry[#expiry + 1] = id
  local places = free
  if due ~= '' then
    places = delayed
    delays[#delays + 1] = due
    delays[#delays + 1] = id
  end
  places[#places + 1] = place
  places[#places + 1] = id
end
local changed = {'s', place}
if first_due ~= '' and not (waiting_until and tonumber(waiting_until) <= tonumber(first_due)) then
  changed[#changed + 1], changed[#changed + 2] = 'w', first_due
end
if sweep_at > tonumber(first_end) then
  changed[#changed + 1], changed[#changed + 2] = 'x', first_end
  call('ZADD', AGENDA, 'LT', first_end, ref)
end
call('HSET', STATE, unpack(changed))
each('HSET', MESSAGES, stored)
each('ZADD', FREE, free)
each('ZADD', DELAYED, delayed)
each('ZADD', DELAYS, delays)
each('ZADD', EXPIRY, expiry)
if sweep_at <= now_us then tidy(now_text, math.min(#stored, DUE_PER_STEP)) end
-- An account that may not publish does all else: whoever waits looks at times.
redis.pcall(ARGV[8], ARGV[9], ARGV[10])
return {'done'}
