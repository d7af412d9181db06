-- A claim and what is still under it.
--
-- KEYS    see @keys
-- ARGV    now, now in us, claim
-- Answer  {fence, ttl, claimed at, {id, message, touched, ...}}; 'missing'
-- Cost    the number of messages that it took
-- @keys MESSAGES TOUCHED HOLDS CLAIMS
-- @include keys messages claims
local record = live(ARGV[3], tonumber(ARGV[1]))
if not record then return 'missing' end
return shown_claim(ARGV[3], record, tonumber(ARGV[2]))
