"""How many connections each worker process has, in memory that all of them see.

Workers that share a listening socket race for whoever connects, and one of two may win them all: the
other idles then for as long as those connections are kept alive. So who has more than another lets
the others have the next one, for a moment.
"""

from __future__ import annotations

import mmap
from typing import Final

MOST: Final = 2048
"""Worker processes, old ones that are about to end among them."""

NOBODY: Final = -1


class Shares:
    """Made before the workers are forked. The first number is the last slot that was ever given."""

    def __init__(self) -> None:
        self._counts = memoryview(mmap.mmap(-1, 4 * (MOST + 1))).cast("i")
        self._given: dict[int, int] = {}  # by `age` of a worker

    def give(self, age: int) -> int:
        """In the master: a slot for a worker, which has no connection yet."""
        taken = set(self._given.values())
        slot = next(number for number in range(1, MOST + 1) if number not in taken)
        self._given[age] = slot
        self._counts[slot] = 0
        self._counts[0] = max(self._counts[0], slot)
        return slot

    def take_back(self, age: int) -> None:
        """In the master, when a worker is gone."""
        slot = self._given.pop(age, None)
        if slot is not None:
            self._counts[slot] = NOBODY

    def put(self, slot: int, count: int) -> None:
        self._counts[slot] = count

    def is_above(self, slot: int) -> bool:
        """Whether another worker has fewer connections."""
        own = self._counts[slot]
        return any(NOBODY < count < own for count in self._counts[1 : self._counts[0] + 1])
