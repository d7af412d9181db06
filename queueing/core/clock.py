"""Who says what time it is. Everything that decides by time is handed a `now` from here."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from queueing.core.errors import StorageUnavailable

SLEW: Final = 0.5
"""Seconds per second by which a clock is corrected."""

JUMP_SECONDS: Final = 5.0
"""Further behind, a clock jumps: followed slowly, claims and messages would outlive their time."""

NO_GAP_SECONDS: Final = 1e-6
"""Less is no difference: a double holds today's time to some 0.0000002 s."""


class Clock(Protocol):
    def now(self) -> float:
        """Epoch seconds."""


class ManualClock:
    """Moved by hand, for tests."""

    def __init__(self, now: float = 1_900_000_000.0) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds


class _Line(NamedTuple):
    """Time as a line over the monotonic clock: `now` at `tick`, then growing by `rate`.

    At `bend` the rate becomes 1. Readers may use it until `until`, which is not past the bend.
    """

    tick: float
    now: float
    rate: float
    bend: float
    until: float

    def at(self, tick: float) -> float:
        if tick <= self.bend:
            return self.now + (tick - self.tick) * self.rate
        return self.now + (self.bend - self.tick) * self.rate + (tick - self.bend)


class StoreClock:
    """The store's clock, read rarely: this node's monotonic clock plus an offset.

    The offset is measured at the first call, then every `refresh_seconds`, and after `reset()` (a
    reconnect). The wall clock of the node never counts. Threads share a clock: none ever sees it
    run backwards, not even after a time that another thread has seen. What was measured is slewed
    in, at half a second per second; only if the store is more than `JUMP_SECONDS` ahead does the
    clock jump, forwards.

    :raises StorageUnavailable: from the first call, if `store_time` raises it; later on a store
        that is away leaves the offset as it is
    """

    def __init__(
        self,
        store_time: Callable[[], float],
        refresh_seconds: float = 30.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store_time = store_time
        self._refresh_seconds = refresh_seconds
        self._monotonic = monotonic
        self._lock = threading.RLock()  # asking the store for its time may call `reset`
        self._published: _Line | None = None  # read without the lock; None sends readers to it
        self._line: _Line | None = None  # what is in force; None: never measured
        self._target = 0.0  # the offset that was measured last, and is slewed to
        self._refresh_at = 0.0
        self._measuring = False
        self._resets = 0
        self._failed_at = -math.inf

    def now(self) -> float:
        tick = self._monotonic()
        line = self._published  # after the tick: see _publish
        if line is not None and line.tick <= tick < line.until:
            return line.now + (tick - line.tick) * line.rate
        return self._now_by_lock(tick)

    def reset(self) -> None:
        """Measure again at the next call: the store may be another one now."""
        with self._lock:
            self._resets += 1
            self._refresh_at = -math.inf
            if self._line is not None and not self._measuring:
                self._published = self._line._replace(until=-math.inf)

    def _now_by_lock(self, asked_at: float) -> float:
        with self._lock:
            if self._line is None:
                self._measure_first(asked_at)
            measure = not self._measuring and self._monotonic() >= self._refresh_at
            self._measuring = self._measuring or measure
            now, resets = self._publish(), self._resets
        if not measure:
            return now
        # One thread asks the store, without the lock: the others go on with the old offset.
        try:
            target, error = self._measure()
        except StorageUnavailable:
            target, error = self._target, 0.0
        finally:
            with self._lock:
                self._measuring = False
        with self._lock:
            # An answer no better than what we have, give or take the time it took, changes nothing.
            if abs(target - self._target) > error:
                self._target = target
            if self._resets == resets:
                self._refresh_at = self._monotonic() + self._refresh_seconds
            return self._publish()

    def _measure(self) -> tuple[float, float]:
        """The offset of the store's clock from ours, and how wrong that can be."""
        asked = self._monotonic()
        store_now = self._store_time()
        answered = self._monotonic()
        return store_now - (asked + answered) / 2, (answered - asked) / 2

    def _measure_first(self, asked_at: float) -> None:
        if self._failed_at > asked_at:
            # Somebody asked while we waited: not everybody has to wait for the store in turn.
            raise StorageUnavailable("The store did not tell its time.")
        try:
            self._target, _ = self._measure()
        except StorageUnavailable:
            self._failed_at = self._monotonic()
            raise
        tick = self._monotonic()
        self._refresh_at = tick + self._refresh_seconds
        self._line = _Line(tick, tick + self._target, 1.0, math.inf, math.inf)

    def _publish(self) -> float:
        """Put the line in force that leads from now to the target; the time now. Under the lock.

        No line is published while its first tick is read: a reader that took the old line read
        its own tick before, so what it sees is at most what the new line starts with.
        """
        assert self._line is not None
        self._published = None
        tick = self._monotonic()
        now = self._line.at(tick)
        gap = tick + self._target - now
        rate, bend = 1.0, math.inf
        if gap > JUMP_SECONDS:
            now += gap
        elif abs(gap) > NO_GAP_SECONDS:
            # At the changed rate until the gap is closed. Backwards means slower, so now still grows.
            rate = 1.0 + SLEW if gap > 0 else 1.0 - SLEW
            bend = tick + abs(gap) / SLEW
        until = bend if self._measuring else min(bend, self._refresh_at)
        self._line = self._published = _Line(tick, now, rate, bend, until)
        return now
