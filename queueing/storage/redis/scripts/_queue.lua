-- Make the queue: a name in its project's listing, and no metadata unless some is given.
local function open(name, document, version)
  call('HSET', STATE, 'v', version, 'd', document)
  call('PERSIST', STATE)  -- of a queue that was deleted it would go after a day
  call('ZADD', NAMES, 0, name)
end
