"""Long polling: requests that wait in this process until there is something for them.

A request that found nothing joins the line of its queue, has the queue followed, and looks once more:
what was posted before it was followed is seen then, what is posted after is announced. It sleeps
on a lock of its own until it is called, its time is up, its client is gone, or the process stops.
Where others wait already it does not even ask first: what there is was promised to them.

One thread of the process, the lookout, sees to what nobody announces: delays and claims that end, at
the time that the store gave for the next one; announcements that were missed, by looking at each
queue from time to time; and stores that announce nothing, by looking all the time. It reads one
`outlook` for each queue, however many wait there, and calls as many as that says.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, TypeVar

from queueing.core.clock import Clock
from queueing.core.errors import QueueingError, StorageUnavailable
from queueing.core.models import QueueRef
from queueing.service.waiters import Line, Phase, Waiter
from queueing.storage.contract import UNKNOWN, Announces, Storage

LOOK_SECONDS: Final = 5.0
"""How often a followed queue is looked at for what was not announced. Claims last longer by far, so
each is known before it ends."""

POLL_SECONDS: Final = 0.05
"""How often a queue is looked at that cannot be followed; less often with many waiting."""

POLLS_PER_SECOND: Final = 200
"""How many steps a second such looks, and the readings they cause, take from the store at most."""

DELAY_SECONDS: Final = 0.1
"""How soon to look after a post with a delay, which lasts a second at least; so that many of them
cost one look."""

LINGER_SECONDS: Final = 10.0
"""How long a queue is followed after the last one has left: who consumes will be back soon."""

RECOVERY_SECONDS: Final = 1.0
"""How long after a failure of the store, or of a request that was called, to look again."""

LATE_SECONDS: Final = 0.001
"""How long after a message is due to look: clocks are not exact, and in vain is worse than late."""

Answer = TypeVar("Answer")


class Connection(Protocol):
    """What is known of the client that waits for an answer."""

    def is_lost(self) -> bool:
        """Whether it has certainly hung up."""

    def watch(self, wake: Callable[[], None]) -> None:
        """Call `wake` once from any thread when it may have hung up. Again after each call."""

    def unwatch(self) -> None:
        """Watch no longer, whether or not it was watched."""


class UnknownConnection:
    """A server that does not tell: whoever asked is taken to be there."""

    def is_lost(self) -> bool:
        return False

    def watch(self, wake: Callable[[], None]) -> None:
        pass

    def unwatch(self) -> None:
        pass


class Patience:
    """How long a request waits, and for whom; and, afterwards, whether it was allowed to."""

    def __init__(self, seconds: float, connection: Connection | None = None) -> None:
        self.seconds = seconds
        self.connection = connection or UnknownConnection()
        self.refused = False
        """Too many wait in this process: it was answered at once, as if `seconds` were 0."""


class Joined(NamedTuple):
    """Somebody in a line; `behind`: others rest there before him, so there is nothing for him."""

    line: Line
    waiter: Waiter
    behind: bool


class WaitingRoom:
    """All who wait in this process for one store. Threads share it."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        *,
        max_waiters: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._max_waiters = max_waiters
        self._monotonic = monotonic
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._lines: dict[QueueRef, Line] = {}  # read without the lock, changed under it
        self._count = 0
        self._readers = 0
        self._agenda: list[tuple[float, int, Line]] = []
        self._numbers = itertools.count()
        self._following = threading.Lock()  # whoever follows or unfollows; before the other lock
        self._listening = False
        self._lookout: threading.Thread | None = None
        self.is_stopped = False
        self.refusals = 0
        """How many were not let in, as too many waited."""

    @property
    def count(self) -> int:
        """How many wait just now."""
        return self._count

    def is_awaited(self, queue: QueueRef) -> bool:
        """Whether somebody may wait there, and `announce` is not in vain."""
        return queue in self._lines

    def wait(
        self,
        queue: QueueRef,
        attempt: Callable[[], Answer],
        patience: Patience | None,
        *,
        wants: int,
    ) -> Answer | None:
        """The first answer of `attempt` that is not empty; None if there was none in time.

        `attempt` asks the store, and may take up to `wants` messages; 0: it only reads them. It is
        not called once the client is known to be gone. Without patience it is called once, and
        its answer is given, empty or not.
        """
        if patience is None or patience.seconds <= 0:
            return attempt()
        if patience.connection.is_lost():
            return None
        line = self._lines.get(queue)
        tried = line is None or not line.followed
        if tried:
            answer = attempt()
            if answer:
                return answer
        joined = self._join(queue, patience, wants)
        if joined is None:
            return None if tried else attempt()
        try:
            return self._stay(joined, attempt, patience, tried=tried)
        finally:
            self._leave(joined)

    def announce(self, queue: QueueRef, count: int) -> None:
        """A step made so many messages free there: see `Announces.listen`. Cheap if nobody waits."""
        line = self._lines.get(queue)
        if line is None:
            return
        with self._lock:
            if self._lines.get(queue) is not line:
                return
            if count == UNKNOWN:
                self._schedule(line, self._monotonic())
            elif count == 0:
                self._schedule(line, self._monotonic() + DELAY_SECONDS)
            line.announce(count)

    def stop(self) -> None:
        """End all waits at once with the empty answer; whoever comes now does not wait."""
        with self._lock:
            self.is_stopped = True
            for line in self._lines.values():
                for waiter in line.everybody():
                    waiter.ring()
            self._changed.notify_all()

    def close(self) -> None:
        """Stop, and end the lookout."""
        self.stop()
        if self._lookout is not None:
            self._lookout.join()

    # One who waits

    def _join(self, queue: QueueRef, patience: Patience, wants: int) -> Joined | None:
        with self._lock:
            if self.is_stopped:
                return None
            if self._count >= self._max_waiters:
                patience.refused = True
                self.refusals += 1
                return None
            line = self._lines.get(queue)
            if line is None:
                line = self._lines[queue] = Line(queue)
            waiter = Waiter(wants)
            behind = line.join(waiter)
            self._count += 1
            self._readers += not wants
            if line.is_stale and line.followed:
                self._schedule(line, self._monotonic())
            return Joined(line, waiter, behind)

    def _leave(self, joined: Joined) -> None:
        line, waiter, _ = joined
        with self._lock:
            line.leave(waiter)
            self._count -= 1
            self._readers -= not waiter.wants
            line.left_at = self._monotonic()

    def _stay(
        self,
        joined: Joined,
        attempt: Callable[[], Answer],
        patience: Patience,
        *,
        tried: bool,
    ) -> Answer | None:
        line, waiter, behind = joined
        deadline = self._monotonic() + patience.seconds
        connection = patience.connection
        may_try = not behind
        if tried and not behind:
            # What came before the queue was followed, a reader has to read for himself. For takers
            # the lookout reads it: one step, however many came at once.
            if waiter.wants:
                may_try = False
                with self._lock:
                    line.rest(waiter, last=True)
            self._follow(line)
            with self._lock:
                self._schedule(line, self._monotonic())

        def call_back() -> None:
            with self._lock:
                waiter.calls_back = True
                waiter.ring()

        try:
            connection.watch(call_back)
            while True:
                if may_try:
                    if connection.is_lost():
                        return None
                    answer = self._attempt(line, attempt)
                    if answer:
                        return answer
                    with self._lock:
                        line.rest(waiter, last=False)
                waiter.sleep(deadline - self._monotonic())
                is_lost = connection.is_lost()
                with self._lock:
                    if self.is_stopped or is_lost:
                        return None
                    rung = waiter.hush()
                    calls_back, waiter.calls_back = waiter.calls_back, False
                    may_try = waiter.phase is Phase.CALLED
                    if may_try:
                        line.begin(waiter)
                if calls_back:
                    connection.watch(call_back)
                if not rung:
                    return None
        finally:
            connection.unwatch()

    def _attempt(self, line: Line, attempt: Callable[[], Answer]) -> Answer:
        try:
            return attempt()
        except QueueingError:
            with self._lock:  # there may be something for the others all the same
                self._schedule(line, self._monotonic() + RECOVERY_SECONDS)
            raise

    # The lookout

    def _schedule(self, line: Line, at: float) -> None:
        """Look at it then; or sooner, if that was the plan."""
        if line.look_at is not None and line.look_at <= at:
            return
        line.look_at = at
        heapq.heappush(self._agenda, (at, next(self._numbers), line))
        if self._lookout is None:
            self._lookout = threading.Thread(target=self._look_out, name="lookout", daemon=True)
            self._lookout.start()
        elif self._agenda[0][2] is line:
            self._changed.notify_all()

    def _look_out(self) -> None:
        while True:
            with self._lock:
                line = self._next()
                if line is None:
                    return
                is_over = line.is_empty and line.left_at + LINGER_SECONDS <= self._monotonic()
            if is_over:
                self._retire(line)
            elif line.is_empty:
                with self._lock:
                    line.is_stale = True
                    self._schedule(line, line.left_at + LINGER_SECONDS)
            else:
                self._follow(line)
                self._look(line)

    def _next(self) -> Line | None:
        """The line that is to be looked at now; None once all is over."""
        while not self.is_stopped:
            patience = None
            while self._agenda:
                at, _, line = self._agenda[0]
                if at == line.look_at and at > self._monotonic():
                    patience = at - self._monotonic()
                    break
                heapq.heappop(self._agenda)
                if at == line.look_at:
                    line.look_at = None
                    return line
            self._changed.wait(patience)
        return None

    def _look(self, line: Line) -> None:
        """Call as many as there are messages for, and plan the next look."""
        with self._lock:
            line.is_stale = False
            limit = max(1, line.wanted)
        try:
            now = self._clock.now()
            outlook = self._storage.messages.outlook(line.queue, limit=limit, now=now)
        except StorageUnavailable:
            with self._lock:
                self._schedule(line, self._monotonic() + RECOVERY_SECONDS)
            return
        with self._lock:
            line.observe(outlook.free)
            line.call_readers()
            seconds = LOOK_SECONDS
            if not line.followed:
                polls = len(self._lines) + self._readers
                seconds = max(POLL_SECONDS, polls / POLLS_PER_SECOND)
            if outlook.due_at is not None:
                seconds = min(seconds, outlook.due_at - now + LATE_SECONDS)
            self._schedule(line, self._monotonic() + seconds)

    def _follow(self, line: Line) -> None:
        """Hear of the queue, if that is possible."""
        storage = self._storage
        if line.followed or not isinstance(storage, Announces):
            return
        with self._following:
            if not self._listening:
                storage.listen(self.announce)
                self._listening = True
            if not line.followed:
                try:
                    line.followed = storage.follow(line.queue)
                except StorageUnavailable:
                    return

    def _retire(self, line: Line) -> None:
        """Forget a line where nobody has been for a while."""
        with self._following:
            with self._lock:
                if not line.is_empty:
                    self._schedule(line, self._monotonic())
                    return
                del self._lines[line.queue]
            if line.followed and isinstance(self._storage, Announces):
                try:
                    self._storage.unfollow(line.queue)
                except StorageUnavailable:
                    return
