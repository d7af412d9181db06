-- Make a queue if it is missing.
--
-- KEYS    those of _keys.lua; 17: set of tokens
-- ARGV    token, name, document, version
-- Answer  1 if it was made, 0 if it was there
-- Cost    log of the number of queues of the project
-- @include keys queue
if call('SISMEMBER', KEYS[17], ARGV[1]) == 1 then return 1 end
if call('HEXISTS', STATE, 'v') == 1 then return 0 end
open(ARGV[2], ARGV[3], ARGV[4])
call('SADD', KEYS[17], ARGV[1])
call('PEXPIRE', KEYS[17], RETRY_SECONDS * 1000)
return 1
