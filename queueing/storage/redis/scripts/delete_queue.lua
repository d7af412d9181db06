-- Remove a queue: metadata, messages, claims.
--
-- KEYS    see @keys; TOKENS: set of tokens; ENDED: where claims of deleted queues lie for a minute
-- ARGV    token, name, milliseconds until its sequence and fence are forgotten: they grow with time
-- Answer  'done'
-- Cost    constant: memory is given back by a thread of the server
-- @keys STATE MESSAGES TOUCHED FREE HELD HOLDS DELAYED DELAYS EXPIRY CLAIMS ENDS NAMES + TOKENS ENDED
-- @include keys
if call('SISMEMBER', TOKENS, ARGV[1]) == 1 then return 'done' end
if call('HDEL', STATE, 'v', 'd') == 0 then return 'done' end
call('ZREM', NAMES, ARGV[2])
call('UNLINK', MESSAGES, TOUCHED, FREE, HELD, HOLDS, DELAYED, DELAYS, EXPIRY, ENDS, ENDED)
if call('EXISTS', CLAIMS) == 1 then
  call('RENAME', CLAIMS, ENDED)
  call('PEXPIRE', ENDED, RETRY_MILLISECONDS)
end
call('PEXPIRE', STATE, ARGV[3])
call('SADD', TOKENS, ARGV[1])
call('PEXPIRE', TOKENS, RETRY_MILLISECONDS)
return 'done'
