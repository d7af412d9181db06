-- The letters on the pile of a queue. Changes nothing.
--
-- KEYS    see @keys
-- ARGV    now
-- Answer  of each {burial, target, id, message, touched}, the oldest first, LETTERS_PER_STEP at most
-- Cost    LETTERS_PER_STEP; ten times that at most while so many have expired
-- @keys PILE PILED PILES
-- @include keys letters
return (letters(tonumber(ARGV[1])))
