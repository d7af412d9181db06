-- Delete one message.
--
-- KEYS    those of _keys.lua
-- ARGV    now, id, claim ('' if none is named)
-- Answer  'done'; 'claimed': under a claim, and none is named; 'other': under another claim than that
--         named, which exists; 'over': the claim named does not exist, or the message is under none
-- Cost    log of the depth
-- @include keys messages claims
local now, id, claim = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local ends = call('ZSCORE', EXPIRY, id)
if not ends then return 'done' end
if tonumber(ends) > now then
  local held = call('ZSCORE', HOLDS, id)
  if held and tonumber(held) > now then
    if claim == '' then return 'claimed' end
    if string.sub(call('HGET', TOUCHED, id), 17) ~= claim then
      return live(claim, now) and 'other' or 'over'
    end
  elseif claim ~= '' then
    return 'over'
  end
end
drop({id})
return 'done'
