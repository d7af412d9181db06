-- End a claim: its messages are free at once, at their old places.
--
-- KEYS    see @keys
-- ARGV    now, now in us, when the record may go in us, claim, ref of the queue, how to announce it (command, channel, by whom)
-- Answer  'done'
-- Cost    the number of its messages * log of the depth
--
-- The record stays for a minute: a claiming step that arrives late must not claim anew.
-- @keys STATE MESSAGES TOUCHED FREE HELD HOLDS CLAIMS ENDS AGENDA
-- @include keys messages claims expect announce
local now, now_us, gone_at, claim, ref = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local record = live(claim, now)
if not record then return 'done' end
local ids, messages = under(claim, record, now_us)
local free = {}
for i, id in ipairs(ids) do
  free[2 * i - 1], free[2 * i] = string.sub(messages[i], 1, 16), id
end
each('ZREM', HOLDS, ids)
each('ZREM', HELD, ids)
each('ZADD', FREE, free)
call('HSET', CLAIMS, claim, cmsgpack.pack({record[1], record[2], record[3], -1}))
call('ZADD', ENDS, gone_at, claim)
expect('x', gone_at, ref)
if #ids > 0 then announce(ARGV[6], ARGV[7], ARGV[8], #ids, 0) end
return 'done'
