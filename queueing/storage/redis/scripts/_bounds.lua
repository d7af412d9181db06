-- STATE's w and x: times before which nothing has to be looked for.

-- The time of the first in a zset, in us as text; nil if it is empty.
local function first_of(set)
  return call('ZRANGE', set, '0', '0', 'WITHSCORES')[2]
end

local function earlier(a, b)
  if not a or (b and tonumber(b) < tonumber(a)) then return b end
  return a
end

-- HDEL comes first: it needs no memory, and a full server lets a step that has begun go on.
local function remember(field, at)
  call('HDEL', STATE, field)
  if at then call('HSET', STATE, field, at) end
end
