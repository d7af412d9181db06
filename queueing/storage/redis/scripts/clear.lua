-- Take burials off the pile of a queue.
--
-- KEYS    see @keys
-- ARGV    ref of the queue, burials
-- Answer  'done'
-- Cost    the number of burials * log of the pile
-- @keys PILE PILED PILES
-- @include keys letters
local burials = {}
for i = 2, #ARGV do burials[i - 1] = ARGV[i] end
clear(burials, ARGV[1])
return 'done'
