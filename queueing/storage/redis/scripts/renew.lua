-- Start the time of a claim again.
--
-- KEYS    see @keys
-- ARGV    now, now in us, end of the claim in us, when its record may go in us, claim, ttl, grace,
--         ref of the queue
-- Answer  'done'; 'missing': it never was, was released, or is over
-- Cost    the number of its messages * log of the depth
-- @keys STATE MESSAGES TOUCHED HOLDS EXPIRY CLAIMS ENDS AGENDA
-- @include keys messages claims outlive expect
local now, now_us, ends_text, gone_at = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local claim, ttl, grace, ref = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local record = live(claim, now)
if not record then return 'missing' end
local claim_ends = now + ttl
local ids, messages, marks = under(claim, record, now_us)
local holds, touched, expiry = {}, {}, {}
for i, id in ipairs(ids) do
  local ends, life_ttl, count = life(messages[i], marks[i])
  local lives_until, new_ttl = outlive(ends, life_ttl, claim_ends, now, ttl, grace)
  holds[2 * i - 1], holds[2 * i] = ends_text, id
  expiry[2 * i - 1], expiry[2 * i] = us(lives_until), id
  touched[2 * i - 1], touched[2 * i] = id, struct.pack('>dII', lives_until, new_ttl, count) .. claim
end
record[2], record[3], record[4] = ttl, ARGV[1], claim_ends
call('HSET', CLAIMS, claim, cmsgpack.pack(record))
call('ZADD', ENDS, gone_at, claim)
expect('x', gone_at, ref)
each('ZADD', HOLDS, holds)
if #ids > 0 then expect('w', ends_text, ref) end
each('HSET', TOUCHED, touched)
each('ZADD', EXPIRY, expiry)
return 'done'
