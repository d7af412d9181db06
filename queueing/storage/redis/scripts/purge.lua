-- Delete all messages of a queue. Claims stay, empty.
--
-- KEYS    see @keys; TOKENS: set of tokens
-- ARGV    token
-- Answer  'done'
-- Cost    constant: memory is given back by a thread of the server
-- @keys MESSAGES TOUCHED FREE HELD HOLDS DELAYED DELAYS EXPIRY + TOKENS
-- @include keys
if call('SISMEMBER', TOKENS, ARGV[1]) == 1 then return 'done' end
call('UNLINK', MESSAGES, TOUCHED, FREE, HELD, HOLDS, DELAYED, DELAYS, EXPIRY)
call('SADD', TOKENS, ARGV[1])
call('PEXPIRE', TOKENS, RETRY_MILLISECONDS)
return 'done'
