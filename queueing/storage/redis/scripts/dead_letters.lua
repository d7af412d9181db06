-- The letters on the pile of a queue. Changes nothing.
--
-- KEYS    those of _keys.lua
-- ARGV    now
-- Answer  of each {burial, target, id, message, touched}, the oldest first, LETTERS_PER_STEP at most
-- Cost    LETTERS_PER_STEP; ten times that at most while so many have expired
-- @include keys letters
return (letters(tonumber(ARGV[1])))
