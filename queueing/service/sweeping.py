"""Sweeping: take what is over out of the store, and finish forwards that were interrupted.

Never needed for an answer to be right, only for space and for dead letters that nobody follows up.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from queueing.core.clock import Clock
from queueing.core.errors import StorageUnavailable
from queueing.core.models import QueueRef
from queueing.service.dead_letters import DeadLetters
from queueing.storage.contract import Storage

logger = logging.getLogger(__name__)

CHUNK: Final = 200
"""How much one step sweeps: little, so that it keeps no request waiting, and stops soon."""

PILES: Final = 100
"""How many interrupted forwards one pass looks at."""


class Swept(NamedTuple):
    """What a pass did: things swept, dead letters forwarded."""

    collected: int
    forwarded: int


class Sweeper:
    """Passes over one store. Any number of processes may sweep the same store at once."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        *,
        announce: Callable[[QueueRef, int], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._dead_letters = DeadLetters(storage, clock, announce)
        self._monotonic = monotonic
        self.stop = threading.Event()
        """Set: a pass ends after the step that it is at."""

    def sweep(self, *, budget_seconds: float | None = None) -> Swept:
        """One pass: forward the piles, then collect until nothing is left or the budget is spent.

        However small the budget, there is a step of each, so that no pass is in vain.

        :raises StorageUnavailable: the store, or the target of a pile, is away; the pass did what
            it could
        """
        end = None if budget_seconds is None else self._monotonic() + budget_seconds
        forwarded, unavailable = self._forward(end)
        collected = 0
        while True:
            swept = self._storage.collect(now=self._clock.now(), limit=CHUNK)
            collected += swept
            if swept < CHUNK or self._over(end):
                break
        if unavailable is not None:
            raise unavailable
        return Swept(collected, forwarded)

    def run(self, every_seconds: float, *, budget_seconds: float | None = None) -> None:
        """A pass every so often, until `stop` is set. An outage is logged when it begins and ends."""
        away = False
        while not self.stop.wait(every_seconds):
            try:
                self.sweep(budget_seconds=budget_seconds)
            except StorageUnavailable as error:
                if not away:
                    logger.warning("sweeping has to wait, the store is away: %s", error)
                away = True
            else:
                if away:
                    logger.info("the store is back, sweeping goes on")
                away = False

    def _forward(self, end: float | None) -> tuple[int, StorageUnavailable | None]:
        """Forward what lies on piles; a pile whose target is away does not stop the others."""
        forwarded = 0
        unavailable = None
        for queue in self._storage.piles(limit=PILES):
            try:
                forwarded += self._dead_letters.forward_all(queue)
            except StorageUnavailable as error:
                unavailable = error
            if self._over(end):
                break
        return forwarded, unavailable

    def _over(self, end: float | None) -> bool:
        return self.stop.is_set() or (end is not None and self._monotonic() >= end)


class BackgroundSweeper:
    """A thread that sweeps while the process serves. Start it in the process that is to sweep:
    threads do not survive a fork."""

    def __init__(self, sweeper: Sweeper, every_seconds: float) -> None:
        self._sweeper = sweeper
        # Half of the time at most: a long sweep must not be a second load beside the requests.
        self._thread = threading.Thread(
            target=sweeper.run,
            args=(every_seconds,),
            kwargs={"budget_seconds": every_seconds / 2},
            name="sweeper",
            daemon=True,
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float = 5.0) -> bool:
        """End it after the step that it is at; True if it has ended within the time."""
        self._sweeper.stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()
