-- Append dead letters to the queue that is their target, each burial once.
--
-- KEYS    those of _keys.lua; 17: BURIALS, zset: burial by the time it is forgotten
-- ARGV    now, now in us, ref of the queue, its name, seconds to remember a burial,
--         how to announce it (command, channel, by whom),
--         then of each letter: burial, id, message, touched
-- Answer  'done'
-- Cost    the number of letters * log of the depth
-- @include keys messages queue announce
local now, ref = tonumber(ARGV[1]), ARGV[3]
local forgotten_at = now + tonumber(ARGV[5])
local known = call('HMGET', STATE, 'v', 's')
local there = known[1]
local sequence = math.max(tonumber(known[2] or 0) + 1, tonumber(ARGV[2]))
local old = call('ZRANGEBYSCORE', KEYS[17], '-inf', now, 'LIMIT', 0, 2 * LETTERS_PER_STEP)
if #old > 0 then call('ZREM', KEYS[17], unpack(old)) end
local first_end = forgotten_at
local new, accepted = false, 0
for i = 9, #ARGV, 4 do
  local burial, id, touched = ARGV[i], ARGV[i + 1], ARGV[i + 3]
  local remembered = call('ZSCORE', KEYS[17], burial)
  if not remembered or tonumber(remembered) <= now then
    call('ZADD', KEYS[17], forgotten_at, burial)
    new = true
    if not there then
      open(ARGV[4], '{}', '')
      there = true
    end
    local ends = struct.unpack('>d', touched)
    local taken_until = call('ZSCORE', EXPIRY, id)
    if ends > now and not (taken_until and tonumber(taken_until) > now) then
      if taken_until then drop({id}) end
      call('HSET', MESSAGES, id, struct.pack('>d', sequence) .. ARGV[i + 2])
      call('HSET', TOUCHED, id, touched)
      call('ZADD', FREE, sequence, id)
      call('ZADD', EXPIRY, ends, id)
      call('HSET', STATE, 's', string.format('%.0f', sequence))
      first_end = math.min(first_end, ends)
      sequence = sequence + 1
      accepted = accepted + 1
    end
  end
end
if new then call('ZADD', AGENDA, 'LT', first_end, ref) end
if accepted > 0 then announce(ARGV[6], ARGV[7], ARGV[8], accepted, 0) end
return 'done'
