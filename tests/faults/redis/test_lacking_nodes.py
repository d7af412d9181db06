"""A Cluster of which a node is away, and that goes on without it: so do the questions to all nodes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from queueing.core.clock import ManualClock
from queueing.core.errors import StorageUnavailable
from queueing.core.models import DeadLetterRule, QueueRef
from queueing.storage.redis import driver
from queueing.storage.redis.driver import RedisStorage
from tests.contract.subject import Subject
from tests.faults.redis.load import persist
from tests.faults.redis.test_failover import holder
from tests.support.engines.redis import ClusterOfThree, Process, running
from tests.support.freezing import freeze, thaw

TIMEOUT_SECONDS = 1.0
QUEUES = 30


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterOfThree]:
    """One that serves the slots of those nodes that are there."""
    going_on = ("--cluster-require-full-coverage", "no", "--appendonly", "yes")
    home = tmp_path_factory.mktemp("cluster")
    with running(ClusterOfThree(home, replicas=False, arguments=going_on)) as cluster:
        yield cluster


@pytest.fixture
def storage(cluster: ClusterOfThree, tmp_path: Path) -> Iterator[RedisStorage]:
    uri = f"{cluster.uri}?namespace={tmp_path.name[:60]}"
    storage = driver.open(uri, timeout_seconds=TIMEOUT_SECONDS)
    persist(storage.ping)
    yield storage
    storage.close()


@pytest.fixture
def queues(storage: RedisStorage, project: str, clock: ManualClock) -> list[Subject]:
    """Many, on all nodes, with three messages each."""
    found = [Subject(storage, QueueRef(project, f"q{n}"), clock) for n in range(QUEUES)]
    for q in found:
        persist(lambda q=q: q.post(b"a", b"b", b"c", ttl=60))
    return found


@contextmanager
def silent(node: Process) -> Iterator[None]:
    """It accepts connections and says nothing."""
    freeze(node.pid)
    try:
        yield
    finally:
        thaw(node.pid)


def last_node(cluster: ClusterOfThree) -> Process:
    """Not that of the first partition, which tells the time and whether the store is there."""
    return cluster.masters[2]


def on_others(cluster: ClusterOfThree, queues: list[Subject]) -> list[Subject]:
    lacking = last_node(cluster)
    found = [q for q in queues if holder(cluster, q.ref) is not lacking]
    assert 0 < len(found) < len(queues)
    return found


def test_what_must_be_complete_is_refused_in_the_time_of_one_request(
    cluster: ClusterOfThree, storage: RedisStorage, queues: list[Subject], project: str
) -> None:
    with silent(last_node(cluster)):
        began = time.monotonic()
        with pytest.raises(StorageUnavailable):
            storage.queues.count(project)
        # Each of the node's partitions asked in turn would take twenty times as long as one.
        assert time.monotonic() - began < 10 * TIMEOUT_SECONDS
    assert persist(lambda: storage.queues.count(project)) == QUEUES


def test_what_must_be_complete_is_refused_at_once_in_a_long_outage(
    cluster: ClusterOfThree, storage: RedisStorage, queues: list[Subject], project: str
) -> None:
    with silent(last_node(cluster)):
        began = time.monotonic()
        while time.monotonic() - began < 3 * TIMEOUT_SECONDS:
            with pytest.raises(StorageUnavailable):
                storage.queues.count(project)
        refused = 0
        began = time.monotonic()
        while time.monotonic() - began < 3 * TIMEOUT_SECONDS:
            with pytest.raises(StorageUnavailable):
                storage.queues.count(project)
            refused += 1
        assert refused > 10
    assert persist(lambda: storage.queues.count(project)) == QUEUES


def test_the_others_are_swept(
    cluster: ClusterOfThree, storage: RedisStorage, queues: list[Subject], clock: ManualClock
) -> None:
    others = on_others(cluster, queues)
    clock.advance(61)
    with silent(last_node(cluster)):
        swept = 0
        while swept < 3 * len(others):
            swept += persist(lambda: storage.collect(now=clock.now(), limit=10))
        assert swept == 3 * len(others)
    rest = 0
    while swept + rest < 3 * QUEUES:
        rest += persist(lambda: storage.collect(now=clock.now(), limit=10))
    assert swept + rest == 3 * QUEUES


def test_the_others_piles_are_found(
    cluster: ClusterOfThree, storage: RedisStorage, queues: list[Subject]
) -> None:
    rule = DeadLetterRule("dead", 1)
    others = {q.ref for q in on_others(cluster, queues)}
    for q in queues:
        q.release(q.take(rule=rule).id)
        q.claim(rule=rule)
    with silent(last_node(cluster)):
        assert set(persist(lambda: storage.piles(limit=1000))) == others
    assert {q.ref for q in queues} == set(persist(lambda: storage.piles(limit=1000)))


def test_how_many_do_not_answer_is_told(cluster: ClusterOfThree, storage: RedisStorage) -> None:
    assert "warning" not in storage.durability()
    with silent(last_node(cluster)):
        assert "1 of its servers do" in str(storage.durability()["warning"])
        assert str(storage.durability()["engine"]).startswith(("Redis ", "Valkey "))


@pytest.mark.parametrize("limit", [1, 7, 50])
def test_sweeping_keeps_to_its_limit_however_many_nodes_there_are(
    storage: RedisStorage, queues: list[Subject], clock: ManualClock, limit: int
) -> None:
    clock.advance(61)
    swept = []
    while number := storage.collect(now=clock.now(), limit=limit):
        swept.append(number)
    assert max(swept) <= limit
    assert sum(swept) == 3 * QUEUES
