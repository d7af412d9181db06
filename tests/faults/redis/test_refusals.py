"""Servers that answer, and do not want to: 503 that says why, nothing half done, and a line in the log
now and then instead of one per request."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from queueing.core.clock import ManualClock
from queueing.core.errors import SetupError, StorageUnavailable
from queueing.core.models import QueueRef
from queueing.storage.redis import driver
from queueing.storage.redis.driver import RedisStorage
from tests.contract.subject import Subject, bodies
from tests.faults.redis.load import persist
from tests.support.engines.redis import ClusterOfThree, Process, running, wait_for

TIMEOUT_SECONDS = 2.0


@pytest.fixture
def storage(victim: Process) -> Iterator[RedisStorage]:
    storage = driver.open(victim.uri, timeout_seconds=TIMEOUT_SECONDS)
    yield storage
    storage.close()


def test_a_full_server_takes_no_post_and_lets_consumers_drain_it(
    victim: Process, q: Subject
) -> None:
    victim.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    posted = 400
    for _ in range(posted // 10):
        q.post(*[b"x" * 10_000] * 10)
    used = victim.command("INFO", "memory")["used_memory"]
    victim.command("CONFIG", "SET", "maxmemory", used - 500_000)
    with pytest.raises(StorageUnavailable, match="OOM"):
        q.post(b"small")
    with pytest.raises(StorageUnavailable, match="OOM"):
        q.sibling("other").create()
    assert q.counts() == (posted, 0), "a refused post has left something"
    taken = 0
    while taken < posted // 2:
        q.clock.advance(61)  # a claim's time is over, and nothing is to be freed
        claim = q.take(5)
        for message in claim.messages[:-1]:
            q.delete(message.id, claim.id)
        q.release(claim.id)
        taken += len(q.pop(5)) + len(claim.messages) - 1
    assert q.counts() == (posted - taken, 0)
    q.post(b"there is room again")
    q.drop()


def test_refusals_are_logged_once_in_a_while(
    victim: Process, q: Subject, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "queueing.storage.redis")
    victim.command("CONFIG", "SET", "maxmemory", 1)
    for _ in range(100):
        with pytest.raises(StorageUnavailable):
            q.post(b"a")
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "OOM" in caplog.text


def test_a_server_that_became_a_replica_is_away_until_it_is_none_any_more(
    victim: Process, q: Subject
) -> None:
    q.post(b"a")
    victim.command("REPLICAOF", "127.0.0.1", 1)
    with pytest.raises(StorageUnavailable, match="read only replica"):
        q.post(b"b")
    victim.command("REPLICAOF", "NO", "ONE")
    persist(lambda: q.post(b"c"))
    assert bodies(q.everything()) == [b"a", b"c"]


def test_a_master_that_asks_for_more_replicas_than_there_are_takes_nothing(
    victim: Process, q: Subject
) -> None:
    q.post(b"a")
    victim.command("CONFIG", "SET", "min-replicas-to-write", 1)
    for ask in (lambda: q.post(b"b"), q.claim, q.pop, q.drop, q.purge):
        with pytest.raises(StorageUnavailable, match="NOREPLICAS"):
            ask()
    assert bodies(q.everything()) == [b"a"]


def test_a_server_that_cannot_save_takes_nothing(victim: Process, q: Subject) -> None:
    q.post(b"a")
    victim.command("CONFIG", "SET", "appendonly", "no")
    victim.command("CONFIG", "SET", "save", "3600 1")
    shutil.rmtree(victim.home)
    victim.command("BGSAVE")
    wait_for(
        lambda: victim.command("INFO", "persistence")["rdb_last_bgsave_status"] == "err",
        "the saving to fail",
    )
    with pytest.raises(StorageUnavailable, match="MISCONF"):
        q.post(b"b")
    assert bodies(q.everything()) == [b"a"]


def test_a_server_that_forgot_the_scripts_is_told_them_again(victim: Process, q: Subject) -> None:
    for _ in range(3):
        victim.command("SCRIPT", "FLUSH")
        q.post(b"a")
        q.delete(q.take().messages[0].id, None if not q.counts()[1] else q.everything()[0].claim_id)
    assert q.everything() == []


def test_an_account_that_may_not_do_it_is_told_so_by_503(
    victim: Process, q: Subject, clock: ManualClock
) -> None:
    victim.command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@all", "-evalsha", "-eval")
    uri = f"redis://reader:secret@127.0.0.1:{victim.port}"
    storage = driver.open(uri, timeout_seconds=TIMEOUT_SECONDS)
    with pytest.raises(StorageUnavailable, match="NOPERM"):
        Subject(storage, q.ref, clock).post(b"a")
    storage.close()


def test_a_password_that_is_wrong_is_told_at_start_in_one_line(victim: Process) -> None:
    victim.command("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all")
    for credentials in ("app:wrong", "nobody:secret"):
        uri = f"redis://{credentials}@127.0.0.1:{victim.port}"
        with pytest.raises(SetupError, match="invalid username-password") as refused:
            driver.open(uri, timeout_seconds=TIMEOUT_SECONDS)
        assert "\n" not in str(refused.value)
        assert "wrong" not in str(refused.value)


def test_a_password_that_was_changed_is_answered_503_and_works_again_when_changed_back(
    victim: Process, clock: ManualClock, project: str
) -> None:
    victim.command("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all")
    uri = f"redis://app:secret@127.0.0.1:{victim.port}"
    storage = driver.open(uri, timeout_seconds=TIMEOUT_SECONDS)
    q = Subject(storage, QueueRef(project, "q"), clock)
    q.post(b"a")
    victim.command("ACL", "SETUSER", "app", "resetpass", ">other")
    victim.command("CLIENT", "KILL", "USER", "app")
    with pytest.raises(StorageUnavailable, match="WRONGPASS"):
        q.post(b"b")
    victim.command("ACL", "SETUSER", "app", "resetpass", ">secret")
    persist(lambda: q.post(b"c"))
    assert bodies(q.everything()) == [b"a", b"c"]
    storage.close()


def test_more_threads_than_connections_wait_for_one_another(
    victim: Process, clock: ManualClock, project: str
) -> None:
    storage = driver.open(f"{victim.uri}?pool_size=2", timeout_seconds=60)
    q = Subject(storage, QueueRef(project, "q"), clock)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: q.post(b"a"), range(200)))
    assert q.counts() == (200, 0)
    assert victim.command("INFO", "clients")["connected_clients"] <= 4
    storage.close()


def test_a_cluster_that_lacks_a_master_is_away_until_it_is_back(
    tmp_path: Path, clock: ManualClock, project: str
) -> None:
    with running(ClusterOfThree(tmp_path / "cluster", replicas=False)) as cluster:
        storage = driver.open(cluster.uri, timeout_seconds=TIMEOUT_SECONDS)
        queues = [Subject(storage, QueueRef(project, f"q{n}"), clock) for n in range(12)]
        for q in queues:
            q.post(b"a")
        cluster.masters[0].kill()
        wait_for(lambda: fails(queues), "the Cluster to be down")
        began = time.monotonic()
        with pytest.raises(StorageUnavailable):
            storage.queues.count(project)
        assert time.monotonic() - began < 10 * TIMEOUT_SECONDS
        cluster.masters[0].start()
        for q in queues:
            persist(lambda q=q: q.post(b"b"))
        # The one that was killed kept nothing on disk.
        assert {tuple(bodies(q.everything())) for q in queues} == {(b"a", b"b"), (b"b",)}
        storage.close()


def test_a_node_of_a_cluster_asked_as_a_single_server_says_so(
    tmp_path: Path, clock: ManualClock, project: str
) -> None:
    with running(ClusterOfThree(tmp_path / "cluster", replicas=False)) as cluster:
        held = [node for node in cluster.masters if succeeds(lambda n=node: post_to(n, clock))]
        assert len(held) <= 1
        other = next(node for node in cluster.masters if node not in held)
        with pytest.raises(StorageUnavailable, match="MOVED"):
            post_to(other, clock)


def post_to(node: Process, clock: ManualClock) -> None:
    with closing(driver.open(node.uri, timeout_seconds=TIMEOUT_SECONDS)) as storage:
        Subject(storage, QueueRef("project", "q"), clock).post(b"a")


def succeeds(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except StorageUnavailable:
        return False
    return True


def fails(queues: list[Subject]) -> bool:
    """Whether all of them do."""
    return not any(succeeds(q.counts) for q in queues)
