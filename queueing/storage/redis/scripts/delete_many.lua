-- Delete several messages, or none.
--
-- KEYS    see @keys
-- ARGV    now in us, number of claims (-1: no matter which claims hold them), claims, ids
-- Answer  'done'; 'other': one exists that is under none of these claims
-- Cost    the number of ids * log of the depth
-- @keys MESSAGES TOUCHED FREE HELD HOLDS DELAYED DELAYS EXPIRY
-- @include keys drop
local now_us, number = tonumber(ARGV[1]), tonumber(ARGV[2])
local claims, ids = {}, {}
for i = 3, 2 + math.max(number, 0) do claims[ARGV[i]] = true end
for i = 3 + math.max(number, 0), #ARGV do ids[#ids + 1] = ARGV[i] end
if number >= 0 then
  local ends = all('ZMSCORE', EXPIRY, ids)
  local holds = all('ZMSCORE', HOLDS, ids)
  for i, id in ipairs(ids) do
    if ends[i] and tonumber(ends[i]) > now_us then
      local held = holds[i] and tonumber(holds[i]) > now_us
      if not (held and claims[string.sub(call('HGET', TOUCHED, id), 17)]) then return 'other' end
    end
  end
end
drop(ids)
return 'done'
