-- Make a queue if it is missing.
--
-- KEYS    see @keys; TOKENS: set of tokens
-- ARGV    token, name, document, version
-- Answer  1 if it was made, 0 if it was there
-- Cost    log of the number of queues of the project
-- @keys STATE NAMES + TOKENS
-- @include keys queue
if call('SISMEMBER', TOKENS, ARGV[1]) == 1 then return 1 end
if call('HEXISTS', STATE, 'v') == 1 then return 0 end
open(ARGV[2], ARGV[3], ARGV[4])
call('SADD', TOKENS, ARGV[1])
call('PEXPIRE', TOKENS, RETRY_MILLISECONDS)
return 1
