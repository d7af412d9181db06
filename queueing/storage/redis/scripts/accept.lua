-- Append dead letters to the queue that is their target, each burial once.
--
-- KEYS    see @keys; BURIALS, zset: burial by the time it is forgotten
-- ARGV    now, now in us, ref of the queue, its name, until when a burial is remembered, in us,
--         how to announce it (command, channel, by whom),
--         then of each letter: burial, id, message, touched
-- Answer  'done'
-- Cost    the number of letters * log of the depth
-- @keys STATE MESSAGES TOUCHED FREE HELD HOLDS DELAYED DELAYS EXPIRY NAMES AGENDA + BURIALS
-- @include keys drop expect queue announce
local now, now_us, ref, forgotten_at = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[5]
local known = call('HMGET', STATE, 'v', 's')
local there = known[1]
local sequence = math.max(tonumber(known[2] or 0) + 1, now_us)
local old = call('ZRANGEBYSCORE', BURIALS, '-inf', ARGV[2], 'LIMIT', 0, 2 * LETTERS_PER_STEP)
if #old > 0 then call('ZREM', BURIALS, unpack(old)) end
local first_end = forgotten_at
local new, accepted = false, 0
for i = 9, #ARGV, 4 do
  local burial, id, touched = ARGV[i], ARGV[i + 1], ARGV[i + 3]
  local remembered = call('ZSCORE', BURIALS, burial)
  if not remembered or tonumber(remembered) <= now_us then
    call('ZADD', BURIALS, forgotten_at, burial)
    new = true
    if not there then
      open(ARGV[4], '{}', '')
      there = true
    end
    local ends = struct.unpack('>d', touched)
    local taken_until = call('ZSCORE', EXPIRY, id)
    if ends > now and not (taken_until and tonumber(taken_until) > now_us) then
      if taken_until then drop({id}) end
      call('HSET', MESSAGES, id, string.format('%016.0f', sequence) .. ARGV[i + 2])
      call('HSET', TOUCHED, id, touched)
      call('ZADD', FREE, sequence, id)
      local ends_text = us(ends)
      call('ZADD', EXPIRY, ends_text, id)
      call('HSET', STATE, 's', string.format('%.0f', sequence))
      if tonumber(ends_text) < tonumber(first_end) then first_end = ends_text end
      sequence = sequence + 1
      accepted = accepted + 1
    end
  end
end
if new then expect('x', first_end, ref) end
if accepted > 0 then announce(ARGV[6], ARGV[7], ARGV[8], accepted, 0) end
return 'done'
