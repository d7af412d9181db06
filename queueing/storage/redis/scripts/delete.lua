-- Delete one message.
--
-- KEYS    see @keys
-- ARGV    now, now in us, id, claim ('' if none is named)
-- Answer  'done'; 'claimed': under a claim, and none is named; 'other': under another claim than that
--         named, which exists; 'over': the claim named does not exist, or the message is under none
-- Cost    7 commands with the claim that holds it; log of the depth
-- @keys MESSAGES TOUCHED FREE HELD HOLDS DELAYED DELAYS EXPIRY CLAIMS
-- @include keys drop
local now_us, id, claim = tonumber(ARGV[2]), ARGV[3], ARGV[4]
local held = call('ZSCORE', HOLDS, id)
if held and tonumber(held) > now_us then
  -- A claim keeps its messages alive: this one has not expired.
  if claim == '' then return 'claimed' end
  if string.sub(call('HGET', TOUCHED, id), 17) ~= claim then
    local record = call('HGET', CLAIMS, claim)
    return record and cmsgpack.unpack(record)[4] > tonumber(ARGV[1]) and 'other' or 'over'
  end
else
  local ends = call('ZSCORE', EXPIRY, id)
  if not ends then return 'done' end
  if claim ~= '' and tonumber(ends) > now_us then return 'over' end
end
drop({id})
return 'done'
