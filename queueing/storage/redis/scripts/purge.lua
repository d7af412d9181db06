-- Delete all messages of a queue. Claims stay, empty.
--
-- KEYS    those of _keys.lua; 17: set of tokens
-- ARGV    token
-- Answer  'done'
-- Cost    constant: memory is given back by a thread of the server
-- @include keys
if call('SISMEMBER', KEYS[17], ARGV[1]) == 1 then return 'done' end
call('UNLINK', MESSAGES, TOUCHED, FREE, HELD, HOLDS, DELAYED, DELAYS, EXPIRY)
call('SADD', KEYS[17], ARGV[1])
call('PEXPIRE', KEYS[17], RETRY_SECONDS * 1000)
return 'done'
