-- Bring a queue up to now, before a step that changes nothing itself.
--
-- KEYS    see @keys
-- ARGV    now in us
-- Answer  1 if more is to be done, else 0
-- Cost    DUE_PER_STEP of each kind at most
-- @keys STATE MESSAGES TOUCHED FREE HELD HOLDS DELAYED DELAYS EXPIRY CLAIMS ENDS
-- @include keys drop bounds settle sweep
local unfinished = settle(ARGV[1])
return (sweep_messages(ARGV[1], DUE_PER_STEP) == DUE_PER_STEP or unfinished) and 1 or 0
