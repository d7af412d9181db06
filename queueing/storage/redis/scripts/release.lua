-- End a claim: its messages are free at once, at their old places.
--
-- KEYS    those of _keys.lua
-- ARGV    now, claim, ref of the queue, how to announce it (command, channel, by whom)
-- Answer  'done'
-- Cost    the number of its messages * log of the depth
--
-- The record stays for a minute: a claiming step that arrives late must not claim anew.
-- @include keys messages claims announce
local now, claim, ref = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local record = live(claim, now)
if not record then return 'done' end
local ids, messages = under(claim, record, now)
local free = {}
for i, id in ipairs(ids) do
  free[2 * i - 1], free[2 * i] = struct.unpack('>d', messages[i]), id
end
each('ZREM', HOLDS, ids)
each('ZREM', HELD, ids)
each('ZADD', FREE, free)
call('HSET', CLAIMS, claim, cmsgpack.pack({record[1], record[2], record[3], -1}))
call('ZADD', ENDS, now + RETRY_SECONDS, claim)
call('ZADD', AGENDA, 'LT', now + RETRY_SECONDS, ref)
if #ids > 0 then announce(ARGV[4], ARGV[5], ARGV[6], #ids, 0) end
return 'done'
