"""A node's clock and its store: who was gone and is back may be another server, with another clock."""

from __future__ import annotations

import pytest

from queueing.config import Settings
from queueing.core.clock import ManualClock, StoreClock
from queueing.wiring import build
from tests.model import ModelStorage


class Moved(ModelStorage):
    """A store whose clock is set by hand."""

    now = 1_900_000_000.0

    def time(self) -> float:
        return self.now


def test_a_store_that_was_reached_again_is_asked_for_its_time_at_once() -> None:
    storage = Moved()
    node = build(Settings(collect_seconds=0), storage=storage)
    assert storage.on_reconnect is not None
    clock = getattr(storage.on_reconnect, "__self__", None)
    assert isinstance(clock, StoreClock)
    assert clock.now() == pytest.approx(storage.now, abs=60)
    storage.now += 3600
    assert clock.now() < storage.now - 3000
    storage.on_reconnect()
    assert clock.now() == pytest.approx(storage.now, abs=60)
    node.close()


def test_a_clock_that_is_handed_in_is_left_alone() -> None:
    storage = Moved()
    build(Settings(collect_seconds=0), storage=storage, clock=ManualClock()).close()
    assert storage.on_reconnect is None
