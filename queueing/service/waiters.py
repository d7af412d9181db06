"""Who of this process waits at one queue, and whom an announcement calls. No time and no store here.

*Takers* claim or pop: what one gets nobody else gets. They stand in line, and so many are called
that what they want in sum covers what was announced: no more, since the others would ask the store
in vain, and no less, since a message would lie there with somebody waiting for it. *Readers* list,
and take nothing: each of them is called.

A taker is in one of three phases. It *rests* until it is called. Once *called* it may be promised
more, as it has not asked the store yet. While it is *trying* it may or may not come across what is
announced meanwhile; so that is kept as `spare` for those who come back from it empty-handed.

As long as somebody rests, everything announced was promised to somebody else: so who comes then may
rest behind him without asking the store first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from enum import Enum, auto

from queueing.core.models import QueueRef


class Phase(Enum):
    TRYING = auto()
    RESTING = auto()
    CALLED = auto()


class Waiter:
    """One request that waits. What changes about it changes under the lock of the room."""

    __slots__ = ("_bell", "_rung", "calls_back", "phase", "promised", "wants")

    def __init__(self, wants: int) -> None:
        self.wants = wants
        """How many messages it takes at most; 0: it reads."""
        self.promised = 0
        self.phase = Phase.TRYING
        self.calls_back = False
        """It was woken to look whether its client is still there."""
        self._rung = False
        self._bell = threading.Lock()
        self._bell.acquire()

    def ring(self) -> None:
        """End its sleep, or the next one if it does not sleep."""
        if not self._rung:
            self._rung = True
            self._bell.release()

    def sleep(self, seconds: float) -> None:
        """Until somebody rings, or the time is up. Not under the lock of the room."""
        if seconds > 0 and self._bell.acquire(timeout=seconds):
            self._bell.release()  # it stays rung until `hush`

    def hush(self) -> bool:
        """Be ready to be rung again; whether it was."""
        rung, self._rung = self._rung, False
        if rung:
            self._bell.acquire()
        return rung


class Line:
    """All who wait at one queue. To be called under the lock of the room."""

    def __init__(self, queue: QueueRef) -> None:
        self.queue = queue
        self.followed = False
        """Whether it is heard of what other processes do to the queue."""
        self.look_at: float | None = None
        """When somebody is to look what is there; monotonic."""
        self.is_stale = True
        """Nobody has looked since somebody waits here."""
        self.left_at = 0.0
        """When the last one left, monotonic."""
        self._resting: OrderedDict[Waiter, None] = OrderedDict()
        self._called: OrderedDict[Waiter, None] = OrderedDict()
        self._trying: set[Waiter] = set()
        self._readers: set[Waiter] = set()
        self._spare = 0

    @property
    def is_empty(self) -> bool:
        return not (self._resting or self._called or self._trying or self._readers)

    @property
    def wanted(self) -> int:
        """How many messages those take who rest."""
        return sum(waiter.wants for waiter in self._resting)

    def join(self, waiter: Waiter) -> bool:
        """True: it rests behind somebody who rests already. False: it has to look first."""
        if not waiter.wants:
            self._readers.add(waiter)
            return False
        if self._resting and self.followed:
            self._rest(waiter, last=True)
            return True
        self._trying.add(waiter)
        return False

    def begin(self, waiter: Waiter) -> None:
        """It is about to ask the store."""
        waiter.phase = Phase.TRYING
        if waiter.wants:
            self._called.pop(waiter, None)
            self._resting.pop(waiter, None)
            self._trying.add(waiter)

    def rest(self, waiter: Waiter, *, last: bool) -> None:
        """It asked in vain, and goes to the end of the line, or back to its head.

        Called at once if something was announced while it asked.
        """
        if not waiter.wants:
            if waiter.phase is Phase.TRYING:  # and not called meanwhile
                waiter.phase = Phase.RESTING
            return
        self._trying.discard(waiter)
        self._rest(waiter, last=last)
        spare, self._spare = self._spare, 0
        if spare:
            self.offer(spare)

    def leave(self, waiter: Waiter) -> None:
        """It has been served, or waits no longer; what it was promised and did not ask for goes on."""
        self._readers.discard(waiter)
        self._resting.pop(waiter, None)
        self._trying.discard(waiter)
        if not self._trying:
            self._spare = 0
        if waiter in self._called:
            del self._called[waiter]
            self.offer(waiter.promised)

    def announce(self, count: int) -> None:
        """So many messages more are free; 0: something else changed, which matters to readers only."""
        self.call_readers()
        if count > 0:
            self.offer(count)

    def observe(self, free: int) -> None:
        """So many messages were free just now, promised ones among them."""
        unpromised = free - sum(waiter.promised for waiter in self._called)
        if unpromised > 0:
            self.offer(unpromised)

    def offer(self, count: int) -> None:
        for waiter in self._called:
            more = min(count, waiter.wants - waiter.promised)
            waiter.promised += more
            count -= more
        while count and self._resting:
            waiter, _ = self._resting.popitem(last=False)
            waiter.promised = min(count, waiter.wants)
            count -= waiter.promised
            waiter.phase = Phase.CALLED
            self._called[waiter] = None
            waiter.ring()
        if count and self._trying:
            most = sum(waiter.wants for waiter in self._trying)
            self._spare = min(self._spare + count, most)

    def call_readers(self) -> None:
        for reader in self._readers:
            reader.phase = Phase.CALLED
            reader.ring()

    def everybody(self) -> list[Waiter]:
        return [*self._resting, *self._called, *self._trying, *self._readers]

    def _rest(self, waiter: Waiter, *, last: bool) -> None:
        waiter.phase = Phase.RESTING
        waiter.promised = 0
        self._resting[waiter] = None
        self._resting.move_to_end(waiter, last=last)
