"""Who says what time it is. Everything that decides by time is handed a `now` from here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol


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


class StoreClock:
    """The store's clock, read rarely: this node's monotonic clock plus an offset.

    The offset is measured at the start, every `refresh_seconds` and after `reset()` (a reconnect).
    A new offset is slewed in, so that time never runs backwards and, after a small correction,
    never jumps: at most half a second per second. The wall clock of the node never counts.
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
        self._lock = threading.Lock()
        self._offset = 0.0  # what is in force: now = monotonic + offset
        self._target = 0.0  # what was measured last
        self._slewed_at = 0.0
        self._refresh_at: float | None = None  # monotonic; None: never measured

    def now(self) -> float:
        tick = self._monotonic()
        if (
            self._refresh_at is not None
            and tick < self._refresh_at
            and self._offset == self._target
        ):
            return tick + self._offset
        with self._lock:
            return self._slew(self._refresh(tick))

    def reset(self) -> None:
        """Measure again at the next call: the store may be another one now."""
        with self._lock:
            if self._refresh_at is not None:
                self._refresh_at = 0.0

    def _refresh(self, tick: float) -> float:
        if self._refresh_at is not None and tick < self._refresh_at:
            return tick
        first = self._refresh_at is None
        # Set before asking: a store that is away is asked once per period, not by every request.
        if not first:
            self._refresh_at = tick + self._refresh_seconds
        store_now = self._store_time()
        answered = self._monotonic()
        self._target = store_now - (tick + answered) / 2
        if first:
            self._offset = self._target
            self._slewed_at = answered
        self._refresh_at = answered + self._refresh_seconds
        return answered

    def _slew(self, tick: float) -> float:
        passed = max(0.0, tick - self._slewed_at)
        self._slewed_at = max(tick, self._slewed_at)
        gap = self._target - self._offset
        step = passed / 2
        # Backwards at half the speed of time at most, so `now` still grows; forwards likewise,
        # unless the store is so far ahead that following it slowly would hold expired claims.
        if gap > 5.0 or abs(gap) <= step:
            self._offset = self._target
        else:
            self._offset += step if gap > 0 else -step
        return tick + self._offset
