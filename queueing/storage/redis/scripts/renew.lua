-- Start the time of a claim again.
--
-- KEYS    those of _keys.lua
-- ARGV    now, claim, ttl, grace, ref of the queue
-- Answer  'done'; 'missing': it never was, was released, or is over
-- Cost    the number of its messages * log of the depth
-- @include keys messages claims
local now, claim, ttl, grace, ref = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local record = live(claim, now)
if not record then return 'missing' end
local claim_ends = now + ttl
local ids, messages, marks = under(claim, record, now)
local holds, touched, expiry = {}, {}, {}
for i, id in ipairs(ids) do
  local ends, life_ttl, count = life(messages[i], marks[i])
  local lives_until, new_ttl = outlive(ends, life_ttl, claim_ends, now, ttl, grace)
  holds[2 * i - 1], holds[2 * i] = claim_ends, id
  expiry[2 * i - 1], expiry[2 * i] = lives_until, id
  touched[2 * i - 1], touched[2 * i] = id, struct.pack('>dII', lives_until, new_ttl, count) .. claim
end
record[2], record[3], record[4] = ttl, now, claim_ends
local gone_at = math.max(claim_ends, now + RETRY_SECONDS)
call('HSET', CLAIMS, claim, cmsgpack.pack(record))
call('ZADD', ENDS, gone_at, claim)
call('ZADD', AGENDA, 'LT', gone_at, ref)
each('ZADD', HOLDS, holds)
each('HSET', TOUCHED, touched)
each('ZADD', EXPIRY, expiry)
return 'done'
