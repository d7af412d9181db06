-- A claim and what is still under it.
--
-- KEYS    those of _keys.lua
-- ARGV    now, claim
-- Answer  {fence, ttl, claimed at, {id, message, touched, ...}}; 'missing'
-- Cost    the number of messages that it took
-- @include keys messages claims
local now = tonumber(ARGV[1])
local record = live(ARGV[2], now)
if not record then return 'missing' end
return shown_claim(ARGV[2], record, now)
