"""Nodes whose own clocks are wrong by an hour: time is the store's, so nothing depends on theirs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from queueing.core import models
from queueing.core.clock import StoreClock
from queueing.core.models import QueueRef
from queueing.storage.redis import driver
from tests.conftest import LONG
from tests.faults.redis.load import Load
from tests.support.engines.redis import Process

pytestmark = pytest.mark.timeout(7200 if LONG else 600)

HOUR = 3600.0


def test_two_nodes_with_clocks_an_hour_off_either_way_break_no_promise(
    server: Process, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wall() -> int:
        """What a node takes for the time: it only goes into ids."""
        fast = threading.current_thread().name[-1] in "02468"
        return time.time_ns() + int(HOUR if fast else -HOUR) * 10**9

    monkeypatch.setattr(models, "time_ns", wall)
    fast, slow = (driver.open(server.uri, timeout_seconds=20) for _ in range(2))
    clocks = [node_clock(fast.time, HOUR), node_clock(slow.time, -HOUR)]
    queue = QueueRef(project, "q")
    with Load([fast, slow], queue, clocks=[clock.now for clock in clocks]) as load:
        load.wait(0.5)
        for clock in clocks:
            clock.reset()
    there = fast.time()
    for clock in clocks:
        assert abs(clock.now() - there) < 30
    assert load.findings() == []
    for storage in (fast, slow):
        storage.close()


def node_clock(store_time: Callable[[], float], off: float) -> StoreClock:
    return StoreClock(store_time, monotonic=lambda: time.monotonic() + off)


def test_the_stores_time_is_the_servers(server: Process) -> None:
    storage = driver.open(server.uri, timeout_seconds=20)
    seconds, microseconds = server.command("TIME")
    assert 0 <= storage.time() - (seconds + microseconds / 1e6) < 30
    storage.close()
