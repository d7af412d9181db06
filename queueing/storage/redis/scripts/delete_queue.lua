-- Remove a queue: metadata, messages, claims.
--
-- KEYS    those of _keys.lua; 17: set of tokens; 18: where claims of deleted queues lie for a minute
-- ARGV    token, name, milliseconds until its sequence and fence are forgotten: they grow with time
-- Answer  'done'
-- Cost    constant: memory is given back by a thread of the server
-- @include keys
if call('SISMEMBER', KEYS[17], ARGV[1]) == 1 then return 'done' end
if call('HDEL', STATE, 'v', 'd') == 0 then return 'done' end
call('ZREM', NAMES, ARGV[2])
call('UNLINK', MESSAGES, TOUCHED, FREE, HELD, HOLDS, DELAYED, DELAYS, EXPIRY, ENDS, KEYS[18])
if call('EXISTS', CLAIMS) == 1 then
  call('RENAME', CLAIMS, KEYS[18])
  call('PEXPIRE', KEYS[18], RETRY_SECONDS * 1000)
end
call('PEXPIRE', STATE, ARGV[3])
call('SADD', KEYS[17], ARGV[1])
call('PEXPIRE', KEYS[17], RETRY_SECONDS * 1000)
return 'done'
