"""Fail-overs and moving slots under load. With `min_replicas` nothing that was acknowledged is lost;
without it, what the replica had not received is, and only that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from queueing.core.clock import ManualClock
from queueing.core.errors import StorageUnavailable
from queueing.core.models import DeadLetterRule, QueueRef
from queueing.storage.redis import driver
from queueing.storage.redis.keys import CLUSTER_PARTITIONS, Namespace
from tests.conftest import LONG
from tests.contract.subject import Subject, bodies
from tests.faults.redis.load import Load, persist
from tests.faults.redis.proxy import Proxy
from tests.support.engines.redis import (
    ClusterOfThree,
    Process,
    WatchedMaster,
    has_replica,
    running,
    talk,
    wait_for,
)

pytestmark = pytest.mark.timeout(7200 if LONG else 900)

DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec")


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[WatchedMaster]:
    with running(WatchedMaster(tmp_path / "sentinel", DURABLE)) as watched:
        yield watched


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterOfThree]:
    with running(ClusterOfThree(tmp_path / "cluster", replicas=True, arguments=DURABLE)) as cluster:
        yield cluster


def test_a_fail_over_by_sentinel_loses_nothing_that_a_replica_had_to_have(
    watched: WatchedMaster, project: str
) -> None:
    storage = driver.open(f"{watched.uri}?min_replicas=1", timeout_seconds=20)
    with Load([storage], QueueRef(project, "q")) as load:
        for kill in range(1, 4):
            load.wait(kill / 4)
            master = watched.master()
            master.kill()
            wait_for(lambda m=master: watched.master() is not m, "another master")
            master.start()
    assert load.findings() == []
    storage.close()


def test_a_master_that_is_made_a_replica_is_left_at_once(
    watched: WatchedMaster, project: str
) -> None:
    """A fail-over by hand: the old master is alive, and answers READONLY."""
    storage = driver.open(f"{watched.uri}?min_replicas=1", timeout_seconds=20)
    with Load([storage], QueueRef(project, "q")) as load:
        load.wait(0.5)
        master = watched.master()
        watched.sentinels[0].command("SENTINEL", "FAILOVER", "mymaster")
        wait_for(lambda: watched.master() is not master, "another master")
    assert load.findings() == []
    storage.close()


def test_a_fail_over_in_a_cluster_loses_nothing_that_a_replica_had_to_have(
    cluster: ClusterOfThree, project: str
) -> None:
    storage = driver.open(f"{cluster.uri}?min_replicas=1", timeout_seconds=20)
    queue = QueueRef(project, "q")
    with Load([storage], queue) as load:
        for kill in range(1, 4):
            load.wait(kill / 4)
            master = holder(cluster, queue)
            master.kill()
            wait_for(lambda m=master: holder(cluster, queue) is not m, "another master")
            master.start()
    assert load.findings() == []
    storage.close()


def test_a_slot_that_moves_to_another_node_under_load_takes_its_queues_along(
    cluster: ClusterOfThree, project: str
) -> None:
    """Requests are sent on to the other node (ASK, MOVED), or wait while keys are on both (TRYAGAIN)."""
    storage = driver.open(cluster.uri, timeout_seconds=20)
    queue = QueueRef(project, "q")
    with Load([storage], queue) as load:
        for move in range(1, 5):
            load.wait(move / 5)
            source = holder(cluster, queue)
            target = next(node for node in cluster.masters if node is not source)
            move_slot(cluster, slot_of(queue), source, target)
    assert load.findings() == []
    storage.close()


def test_what_a_replica_has_not_received_is_lost_without_min_replicas_and_not_acknowledged_with_it(
    tmp_path: Path, clock: ManualClock
) -> None:
    with running(Process(tmp_path / "master")) as master, Proxy(master.port) as link:
        following = ("--replicaof", f"127.0.0.1 {link.port}")
        with running(Process(tmp_path / "replica", following)) as replica:
            wait_for(lambda: has_replica(master), "the replica to follow")
            careless = subject(master, clock, "")
            careful = subject(master, clock, "?min_replicas=1")
            careless.post(b"replicated")
            persist(lambda: careful.post(b"surely replicated"))
            link.refuse()  # the replica hears nothing more
            careless.post(b"lost")
            with pytest.raises(StorageUnavailable):
                careful.post(b"not acknowledged")
            with pytest.raises(StorageUnavailable):
                careful.delete(careful.everything()[0].id)
            master.kill()
            replica.command("REPLICAOF", "NO", "ONE")
            survivor = subject(replica, clock, "")
            assert bodies(survivor.everything()) == [b"replicated", b"surely replicated"]
            for each in (careless, careful, survivor):
                each.storage.close()


def test_a_repeat_that_changes_nothing_waits_for_the_replicas_as_well(
    tmp_path: Path, clock: ManualClock
) -> None:
    """It is an acknowledgement like any other: of what was done by a request that was answered 503."""
    with running(Process(tmp_path / "master")) as master, Proxy(master.port) as link:
        following = ("--replicaof", f"127.0.0.1 {link.port}")
        with running(Process(tmp_path / "replica", following)):
            wait_for(lambda: has_replica(master), "the replica to follow")
            q = subject(master, clock, "?min_replicas=1")
            (id,) = q.post(b"a")
            link.refuse()
            for _ in range(2):  # the second finds it deleted already
                with pytest.raises(StorageUnavailable):
                    q.delete(id)
            link.refuse(False)
            persist(lambda: q.delete(id))
            q.storage.close()


@pytest.fixture(scope="module")
def replicated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, Proxy]]:
    home = tmp_path_factory.mktemp("replicated")
    with running(Process(home / "master")) as master, Proxy(master.port) as link:
        following = ("--replicaof", f"127.0.0.1 {link.port}")
        with running(Process(home / "replica", following)):
            yield master, link


@pytest.fixture
def master_and_link(replicated: tuple[Process, Proxy]) -> Iterator[tuple[Process, Proxy]]:
    """A master, and the connection on which its replica hears of what is written."""
    master, link = replicated
    wait_for(lambda: has_replica(master), "the replica to follow")
    yield master, link
    link.refuse(False)


READS: dict[str, Callable[[Subject, str, str], object]] = {
    "messages by id": lambda q, id, claim: [it.body for it in q.get(id)],
    "page": lambda q, id, claim: bodies(q.everything()),
    "claim": lambda q, id, claim: bodies(q.take().messages),
    "look at a claim": lambda q, id, claim: bodies(q.held(claim).messages),
    "pop": lambda q, id, claim: bodies(q.pop()),
    "stats": lambda q, id, claim: q.counts(),
    "dead letters": lambda q, id, claim: bodies(it.message for it in q.pile()),
    "metadata": lambda q, id, claim: q.metadata.document,
}


@pytest.mark.parametrize("read", READS)
def test_nothing_is_shown_that_the_replicas_do_not_have(
    master_and_link: tuple[Process, Proxy], clock: ManualClock, project: str, read: str
) -> None:
    """A fail-over would take it back after somebody acted on it: a message, who holds it, settings."""
    master, link = master_and_link
    writer = subject(master, clock, "", project=project)
    reader = subject(master, clock, "?min_replicas=1", project=project, timeout_seconds=1)
    persist(reader.stats)
    persist(reader.exists)  # has used its connection before
    link.refuse()
    rule = DeadLetterRule("dead", 1)
    writer.create(b'{"a":1}')
    version = writer.metadata.version
    reader, writer = reader.knowing(version), writer.knowing(version)
    writer.post(b"buried")
    writer.release(writer.take(rule=rule).id)
    buried = writer.claim(rule=rule).dead_letters
    id, _ = writer.post(b"claimed", b"free")
    claim = writer.take(1)
    with pytest.raises(StorageUnavailable):
        READS[read](reader, id, claim.id)
    link.refuse(False)
    wait_for(lambda: has_replica(master), "the replica to follow again")
    shown = {
        "messages by id": [b"claimed"],
        "page": [b"claimed", b"free"],
        "look at a claim": [b"claimed"],
        "stats": (1, 1),
        "dead letters": [letter.message.body for letter in buried],
        "metadata": b'{"a":1}',
    }
    if read in shown:
        assert persist(lambda: READS[read](reader, id, claim.id)) == shown[read]
    for each in (reader, writer):
        each.storage.close()


def test_a_full_server_still_says_what_its_replicas_have(
    master_and_link: tuple[Process, Proxy], clock: ManualClock, project: str
) -> None:
    """What is written to wait for needs no memory, but for the first time."""
    master, _ = master_and_link
    q = subject(master, clock, "?min_replicas=1", project=project)
    q.post(b"a", b"b")
    master.command("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(StorageUnavailable, match="OOM"):
            q.post(b"c")
        assert bodies(q.everything()) == [b"a", b"b"]
        assert bodies(q.pop(2)) == [b"a", b"b"]
    finally:
        master.command("CONFIG", "SET", "maxmemory", "0")
        q.storage.close()


def subject(
    server: Process,
    clock: ManualClock,
    options: str,
    *,
    project: str = "project",
    timeout_seconds: float = 2,
) -> Subject:
    storage = driver.open(f"{server.uri}{options}", timeout_seconds=timeout_seconds)
    return Subject(storage, QueueRef(project, "q"), clock)


def slot_of(queue: QueueRef) -> int:
    return key_slot(Namespace("q", CLUSTER_PARTITIONS).queue(queue).all[0])


def holder(cluster: ClusterOfThree, queue: QueueRef) -> Process:
    """The node that holds the queue's slot, as those see it that are alive."""
    slot = slot_of(queue)
    for node in cluster.nodes:
        if node.answers():
            for start, end, master, *_ in node.command("CLUSTER", "SLOTS"):
                if start <= slot <= end:
                    return next(each for each in cluster.nodes if each.port == master[1])
    raise AssertionError("nobody holds the slot")


def move_slot(cluster: ClusterOfThree, slot: int, source: Process, target: Process) -> None:
    """As redis-cli does it: key by key, then told to all masters."""
    source_id = source.command("CLUSTER", "MYID").decode()
    target_id = target.command("CLUSTER", "MYID").decode()
    target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    with talk(source.port) as client:
        while keys := client.execute_command("CLUSTER GETKEYSINSLOT", slot, 5):
            client.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
    for node in (target, source, *cluster.masters):
        node.command("CLUSTER", "SETSLOT", slot, "NODE", target_id)
