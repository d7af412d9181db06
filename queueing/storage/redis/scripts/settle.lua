-- Bring a queue up to now, before a step that changes nothing itself.
--
-- KEYS    those of _keys.lua
-- ARGV    now
-- Answer  1 if more is to be done, else 0
-- Cost    DUE_PER_STEP of each kind at most
-- @include keys messages
return settle(tonumber(ARGV[1])) and 1 or 0
