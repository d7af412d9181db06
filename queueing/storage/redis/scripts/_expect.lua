-- Something is to be freed (w) or swept (x) at a time, in us as text.
local function expect(field, at, ref)
  local known = call('HGET', STATE, field)
  if known and tonumber(known) <= tonumber(at) then return end
  call('HSET', STATE, field, at)
  if field == 'x' then call('ZADD', AGENDA, 'LT', at, ref) end
end
