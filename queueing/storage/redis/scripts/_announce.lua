-- Tell those who wait at the queue how many messages got free, and how many will at their time.
-- An account that may not publish does all else: whoever waits looks at times.
local function announce(command, channel, origin, free, delayed)
  redis.pcall(command, channel, origin .. ':' .. free .. ':' .. delayed)
end
