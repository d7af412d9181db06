-- Put metadata in the place of that of a given version.
--
-- KEYS    see @keys; TOKENS: set of tokens
-- ARGV    token, expected version, document, its version
-- Answer  'done'; 'missing': there is no such queue; 'changed': the metadata is of another version
-- Cost    constant
-- @keys STATE + TOKENS
-- @include keys
if call('SISMEMBER', TOKENS, ARGV[1]) == 1 then return 'done' end
local version = call('HGET', STATE, 'v')
if not version then return 'missing' end
if version ~= ARGV[2] then return 'changed' end
call('HSET', STATE, 'd', ARGV[3], 'v', ARGV[4])
call('SADD', TOKENS, ARGV[1])
call('PEXPIRE', TOKENS, RETRY_MILLISECONDS)
return 'done'
