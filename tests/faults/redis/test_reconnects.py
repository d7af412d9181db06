"""Who was lost and is there again may be another server: the node is told, and reads its clock anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from queueing.config import Settings
from queueing.core.clock import ManualClock, StoreClock
from queueing.core.models import QueueRef
from queueing.storage.contract import Storage
from queueing.storage.redis import driver
from queueing.storage.redis.driver import RedisStorage
from queueing.wiring import build
from tests.contract.subject import Subject
from tests.faults.redis.load import persist
from tests.faults.redis.test_failover import holder
from tests.support.engines.redis import ClusterOfThree, Process, WatchedMaster, running, wait_for

HOUR = 3600.0


class Told:
    """How often a storage has said that it reached its engine again."""

    def __init__(self, storage: Storage) -> None:
        self.times = 0
        self._lock = threading.Lock()
        storage.on_reconnect = self.tell

    def tell(self) -> None:
        with self._lock:
            self.times += 1


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[WatchedMaster]:
    with running(WatchedMaster(tmp_path / "sentinel")) as watched:
        yield watched


def test_nothing_is_told_while_connections_only_become_more(
    server: Process, clock: ManualClock, project: str
) -> None:
    storage = driver.open(server.uri, timeout_seconds=20)
    told = Told(storage)
    q = Subject(storage, QueueRef(project, "q"), clock)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: q.post(b"a"), range(500)))
    assert told.times == 0
    storage.close()


def test_it_is_told_once_for_a_connection_that_was_lost(victim: Process) -> None:
    storage = driver.open(victim.uri, timeout_seconds=20)
    told = Told(storage)
    storage.ping()
    victim.kill()
    victim.start()
    storage.ping()
    assert told.times == 1
    storage.ping()
    assert told.times == 1
    storage.close()


def test_it_is_told_when_sentinel_names_another_master(watched: WatchedMaster) -> None:
    storage = driver.open(watched.uri, timeout_seconds=20)
    told = Told(storage)
    storage.ping()
    fail_over(watched)
    storage.ping()
    assert told.times > 0
    storage.close()


def test_it_is_told_when_another_node_of_a_cluster_holds_what_tells_the_time(
    tmp_path: Path, clock: ManualClock
) -> None:
    with running(ClusterOfThree(tmp_path / "cluster", replicas=True)) as cluster:
        storage = driver.open(cluster.uri, timeout_seconds=30)
        told = Told(storage)
        first = next(ref for ref in queues() if in_first_partition(storage, ref))
        q = Subject(storage, first, clock)
        q.post(b"a")
        master = holder(cluster, first)
        master.kill()
        wait_for(lambda: holder(cluster, first) is not master, "another master")
        persist(storage.time)
        assert told.times > 0
        storage.close()


@pytest.mark.parametrize("off", [HOUR, -HOUR])
def test_the_clock_of_a_new_master_is_followed_from_the_first_request_on(
    watched: WatchedMaster, off: float
) -> None:
    """Forwards at once; backwards slowly, since time never does, but from then on."""
    storage = driver.open(watched.uri, timeout_seconds=20)
    first = watched.master()
    told_by_redis = storage.time

    def time_of_the_master() -> float:
        now = told_by_redis()
        return now if watched.master() is first else now + off

    storage.time = time_of_the_master  # type: ignore[method-assign]  # two machines, in one
    node = build(Settings(collect_seconds=0), storage=storage)
    clock = getattr(storage.on_reconnect, "__self__", None)
    assert isinstance(clock, StoreClock)
    before = clock.now()
    fail_over(watched)
    storage.ping()
    if off > 0:
        assert clock.now() - before > HOUR - 60
    else:
        clock.now()
        began, at = time.monotonic(), clock.now()
        wait_for(lambda: time.monotonic() - began > 0.5, "half a second to pass")
        assert clock.now() - at < 0.9 * (time.monotonic() - began)
    node.close()


def fail_over(watched: WatchedMaster) -> None:
    master = watched.master()
    master.kill()
    wait_for(lambda: watched.master() is not master, "another master")


def queues() -> Iterator[QueueRef]:
    for number in range(10_000):
        yield QueueRef("project", f"q{number}")


def in_first_partition(storage: RedisStorage, ref: QueueRef) -> bool:
    names: Callable[[QueueRef], object] = storage._names.queue
    return names(ref).partition == 0
