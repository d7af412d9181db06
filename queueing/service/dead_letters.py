"""Dead letters on their way from their queue's pile to their target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Final

from queueing.core.clock import Clock
from queueing.core.models import DeadLetter, QueueRef
from queueing.storage.contract import DEAD_LETTERS_PER_STEP, Storage

ROUNDS: Final = 10
"""How many steps' worth of letters one request forwards at most; the rest waits for the next."""


class DeadLetters:
    """Moves letters in two steps: the target accepts them, then the pile is cleared.

    Whoever is interrupted in between leaves them on the pile, and whoever comes next, a claim, a
    deletion or the sweeper, moves them again: the target accepts each burial once. `announce` tells
    those who wait at the target in this process.
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        announce: Callable[[QueueRef, int], None] | None = None,
    ) -> None:
        self._messages = storage.messages
        self._clock = clock
        self._announce = announce

    def forward(self, queue: QueueRef, letters: Sequence[DeadLetter]) -> int:
        """Move these letters of the queue's pile, and those that lie behind them; how many."""
        moved = 0
        for _ in range(ROUNDS):
            for target, group in groupby(letters, key=_target):
                moved += self._move(queue, QueueRef(queue.project, target), group)
            if len(letters) < DEAD_LETTERS_PER_STEP:
                break
            letters = self._messages.dead_letters(queue, now=self._clock.now())
        return moved

    def forward_all(self, queue: QueueRef) -> int:
        """Move what lies on the queue's pile; how many letters."""
        return self.forward(queue, self._messages.dead_letters(queue, now=self._clock.now()))

    def _move(self, queue: QueueRef, target: QueueRef, letters: Iterable[DeadLetter]) -> int:
        group = list(letters)
        now = self._clock.now()
        self._messages.accept_dead_letters(target, group, now=now)
        if self._announce:
            self._announce(target, len(group))
        self._messages.clear_dead_letters(queue, [letter.burial for letter in group], now=now)
        return len(group)


def _target(letter: DeadLetter) -> str:
    return letter.target
