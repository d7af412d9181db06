"""Announcements after connections were lost, servers died, or slots moved; and for whom they are not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from queueing.core.clock import ManualClock
from queueing.core.models import QueueRef
from queueing.storage.contract import UNKNOWN
from queueing.storage.redis import driver
from queueing.storage.redis.driver import RedisStorage
from tests.contract.subject import Subject
from tests.contract.test_announcements import Ear
from tests.faults.redis.load import persist
from tests.faults.redis.proxy import Proxy
from tests.faults.redis.test_failover import holder, move_slot, slot_of
from tests.faults.redis.test_reconnects import fail_over
from tests.support.engines.redis import ClusterOfThree, Process, WatchedMaster, running, wait_for


@pytest.fixture
def listener(proxy: Proxy) -> Iterator[RedisStorage]:
    """Another node, behind the proxy."""
    storage = driver.open(f"redis://127.0.0.1:{proxy.port}", timeout_seconds=30)
    yield storage
    storage.close()


@pytest.fixture
def q(server: Process, project: str, clock: ManualClock) -> Iterator[Subject]:
    with closing(driver.open(server.uri, timeout_seconds=30)) as storage:
        yield Subject(storage, QueueRef(project, "q"), clock)


def test_who_lost_its_connection_is_told_to_look_and_hears_again(
    q: Subject, listener: RedisStorage, proxy: Proxy
) -> None:
    ear = Ear(listener)
    ear.follow(q.ref)
    proxy.refuse()
    q.post(b"unheard")
    proxy.refuse(False)
    ear.wait_for(q.ref, lambda counts: UNKNOWN in counts)
    q.post(b"a", b"b", b"c")
    ear.wait_for(q.ref, lambda counts: 3 in counts)


def test_each_queue_that_is_followed_is_told_of(
    q: Subject, listener: RedisStorage, proxy: Proxy
) -> None:
    ear = Ear(listener)
    queues = [q.sibling(f"q{number}") for number in range(20)]
    for queue in queues:
        ear.follow(queue.ref)
    proxy.refuse()
    proxy.refuse(False)
    for queue in queues:
        ear.wait_for(queue.ref, lambda counts: UNKNOWN in counts)


def test_what_cannot_be_followed_is_said_and_can_be_followed_later(
    q: Subject, listener: RedisStorage, proxy: Proxy
) -> None:
    ear = Ear(listener)
    proxy.refuse()
    assert not listener.follow(q.ref)
    proxy.refuse(False)
    ear.follow(q.ref)
    q.post(b"a")
    ear.wait_for(q.ref, lambda counts: 1 in counts)


def test_nobody_is_connected_who_does_not_wait(
    q: Subject, listener: RedisStorage, server: Process
) -> None:
    def subscribed() -> list[bytes]:
        return list(server.command("PUBSUB", "CHANNELS", f"*{q.ref.project}*"))

    def listening() -> int:
        return str(server.command("CLIENT", "LIST")).count("cmd=subscribe")

    before = listening()
    ear = Ear(listener)
    assert subscribed() == []
    ear.follow(q.ref)
    assert len(subscribed()) == 1
    listener.unfollow(q.ref)
    wait_for(lambda: subscribed() == [] and listening() == before, "it to be given up")


@contextmanager
def two_nodes(uri: str, project: str, clock: ManualClock) -> Iterator[tuple[Subject, Ear]]:
    """One that posts, and one that follows the queue."""
    with (
        closing(driver.open(uri, timeout_seconds=30)) as storage,
        closing(driver.open(uri, timeout_seconds=30)) as other,
    ):
        q = Subject(storage, QueueRef(project, "q"), clock)
        ear = Ear(other)
        ear.follow(q.ref)
        yield q, ear


def test_a_restarted_server_is_heard_again(
    victim: Process, project: str, clock: ManualClock
) -> None:
    with two_nodes(victim.uri, project, clock) as (q, ear):
        victim.kill()
        victim.start()
        ear.wait_for(q.ref, lambda counts: UNKNOWN in counts)
        q.post(b"a", b"b")
        ear.wait_for(q.ref, lambda counts: 2 in counts)


def test_a_new_master_is_heard(tmp_path: Path, project: str, clock: ManualClock) -> None:
    with (
        running(WatchedMaster(tmp_path / "sentinel")) as watched,
        two_nodes(watched.uri, project, clock) as (q, ear),
    ):
        fail_over(watched)
        ear.wait_for(q.ref, lambda counts: UNKNOWN in counts)
        persist(lambda: q.post(b"a", b"b"))
        ear.wait_for(q.ref, lambda counts: 2 in counts)


def test_the_node_that_a_queue_has_moved_to_is_heard(
    tmp_path: Path, project: str, clock: ManualClock
) -> None:
    with (
        running(ClusterOfThree(tmp_path / "cluster", replicas=True)) as cluster,
        two_nodes(cluster.uri, project, clock) as (q, ear),
    ):
        source = holder(cluster, q.ref)
        target = next(node for node in cluster.masters if node is not source)
        move_slot(cluster, slot_of(q.ref), source, target)
        ear.wait_for(q.ref, lambda counts: UNKNOWN in counts)
        q.post(b"a", b"b")
        ear.wait_for(q.ref, lambda counts: 2 in counts)
        before = ear.heard(q.ref).count(UNKNOWN)
        target.kill()
        wait_for(lambda: holder(cluster, q.ref) is not target, "another master")
        persist(lambda: q.post(b"a", b"b", b"c"))
        ear.wait_for(q.ref, lambda counts: counts.count(UNKNOWN) > before)
        q.post(b"a", b"b", b"c", b"d")
        ear.wait_for(q.ref, lambda counts: 4 in counts)


def test_an_account_that_may_not_publish_posts_and_one_that_may_not_subscribe_looks(
    server: Process, q: Subject
) -> None:
    needed = ("~q:*", "+@read", "+@write", "+@scripting", "+@connection", "+info", "+time", "+wait")
    server.command("ACL", "SETUSER", "deaf", "on", ">secret", *needed)
    uri = f"redis://deaf:secret@127.0.0.1:{server.port}"
    with closing(driver.open(uri, timeout_seconds=30)) as storage:
        deaf = Subject(storage, q.ref, q.clock)
        deaf.post(b"a")
        deaf.release(deaf.take(1).id)
        assert q.counts() == (1, 0)
        Ear(storage)
        assert not storage.follow(q.ref)


def test_a_forked_child_hears_by_itself(q: Subject, listener: RedisStorage) -> None:
    ear = Ear(listener)
    ear.follow(q.ref)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        other = Ear(listener)
        other.follow(q.ref)
        os.write(write, b"follows")
        other.wait_for(q.ref, lambda counts: 3 in counts)
        os.write(write, b"heard")
        os._exit(0)
    assert os.read(read, 100) == b"follows"
    q.post(b"a", b"b", b"c")
    ear.wait_for(q.ref, lambda counts: 3 in counts)
    assert os.read(read, 100) == b"heard"
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)
