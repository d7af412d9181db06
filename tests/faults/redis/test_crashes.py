"""A server that is killed and started again, stopped for a while, or busy: nothing is lost or doubled,
requests get their answer or 503 in time, and all goes on by itself."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.exceptions import BusyLoadingError, RedisError

from queueing.core.clock import ManualClock
from queueing.core.errors import StorageUnavailable
from queueing.core.models import QueueRef
from queueing.storage.redis import driver
from queueing.storage.redis.driver import RedisStorage
from tests.conftest import LONG
from tests.contract.subject import Subject, bodies
from tests.faults.redis.load import Load, persist
from tests.support.engines.redis import Process, talk, wait_for
from tests.support.freezing import freeze, thaw

pytestmark = pytest.mark.timeout(7200 if LONG else 600)

TIMEOUT_SECONDS = 2.0


@pytest.fixture
def patient(victim: Process) -> Iterator[RedisStorage]:
    storage = driver.open(victim.uri, timeout_seconds=20)
    yield storage
    storage.close()


@pytest.fixture
def hasty(victim: Process) -> Iterator[RedisStorage]:
    storage = driver.open(victim.uri, timeout_seconds=TIMEOUT_SECONDS)
    yield storage
    storage.close()


@pytest.fixture
def q(hasty: RedisStorage, clock: ManualClock, project: str) -> Subject:
    return Subject(hasty, QueueRef(project, "q"), clock)


def test_a_server_killed_and_started_again_under_load_breaks_no_promise(
    victim: Process, patient: RedisStorage, project: str
) -> None:
    with Load([patient], QueueRef(project, "q")) as load:
        for kill in range(1, 6):
            load.wait(kill / 6)
            victim.kill()
            victim.start()
    assert load.findings() == []


def test_requests_are_refused_in_time_while_the_server_is_away(victim: Process, q: Subject) -> None:
    q.post(b"a")
    victim.kill()
    for ask in (q.everything, lambda: q.post(b"b"), q.claim, q.storage.ping):
        began = time.monotonic()
        with pytest.raises(StorageUnavailable):
            ask()
        assert time.monotonic() - began < 10 * TIMEOUT_SECONDS


def test_once_an_outage_is_long_requests_are_refused_at_once(victim: Process, q: Subject) -> None:
    q.post(b"a")
    victim.kill()
    give_up(q)
    refused = 0
    began = time.monotonic()
    while time.monotonic() - began < TIMEOUT_SECONDS:
        with pytest.raises(StorageUnavailable):
            q.post(b"b")
        refused += 1
    assert refused > 100


def test_a_stopped_server_keeps_no_thread_for_longer_than_the_time_out(
    victim: Process, q: Subject
) -> None:
    q.post(b"a")
    freeze(victim.pid)
    try:
        with ThreadPoolExecutor(16) as threads:
            asked = [threads.submit(q.post, b"b") for _ in range(64)]
            for each in asked:
                with pytest.raises(StorageUnavailable):
                    each.result(timeout=60)
    finally:
        thaw(victim.pid)
    persist(lambda: q.post(b"c"))
    # What was refused may have been done, but none twice.
    assert len(q.everything()) <= 66


def test_an_outage_is_logged_once_and_its_end_once(
    victim: Process, q: Subject, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "queueing.storage.redis")
    q.post(b"a")
    victim.kill()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: give_up(q), range(8)))
    for _ in range(500):
        with pytest.raises(StorageUnavailable):
            q.post(b"b")
    victim.start()
    persist(lambda: q.post(b"c"))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert [" is away: " in record.message for record in caplog.records] == [True, False]


@pytest.mark.parametrize("outage_seconds", [0.5, 2 * TIMEOUT_SECONDS])
def test_requests_succeed_within_two_seconds_of_the_servers_return(
    victim: Process, q: Subject, outage_seconds: float
) -> None:
    q.post(b"a")
    victim.kill()
    stop = threading.Event()
    succeeded: list[float] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                q.post(b"b")
            except StorageUnavailable:
                time.sleep(0.01)
            else:
                succeeded.append(time.monotonic())
                return

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(outage_seconds)  # as long as the outage is to be
    victim.start()
    back = time.monotonic()
    try:
        wait_for(lambda: len(succeeded) == 4, "all to succeed again")
    finally:
        stop.set()
    # Two seconds on an idle machine; this one may be busy.
    assert max(succeeded) - back < 10
    for thread in threads:
        thread.join()


def test_a_server_that_is_just_loading_its_data_is_waited_for(
    victim: Process,
    patient: RedisStorage,
    clock: ManualClock,
    project: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    q = Subject(patient, QueueRef(project, "q"), clock)
    q.post(b"a")
    for number in range(200):
        victim.command("SET", f"other{number}", "x")
    victim.command("BGREWRITEAOF")
    wait_for(lambda: not victim.command("INFO")["aof_rewrite_in_progress"], "the rewrite")
    victim.kill()
    slowly = ("--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024")
    loading = Process(victim.home, (*victim.arguments, *slowly), victim.port)
    answer: list[object] = []
    asker = threading.Thread(target=lambda: answer.append(bodies(q.everything())))
    starter = threading.Thread(target=loading.start)
    starter.start()
    wait_for(lambda: is_loading(victim.port), "the server to load")
    asker.start()
    asker.join()
    starter.join()
    loading.stop()
    assert answer == [[b"a"]]
    assert "loading" in caplog.text


def test_an_open_storage_waits_for_a_server_that_was_not_there(victim: Process) -> None:
    victim.kill()
    storage = driver.open(victim.uri, timeout_seconds=0.2)
    with pytest.raises(StorageUnavailable):
        storage.ping()
    victim.start()
    persist(storage.ping)
    assert storage.durability()["appendfsync"] == "always"
    storage.close()


def test_a_forked_child_and_its_parent_use_connections_of_their_own(
    q: Subject, hasty: RedisStorage
) -> None:
    q.post_number(200)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        popped = [message.body for _ in range(50) for message in q.pop()]
        os.write(write, b" ".join(popped))
        os._exit(0)
    popped = [message.body for _ in range(50) for message in q.pop()]
    os.waitpid(child, 0)
    os.close(write)
    theirs = os.read(read, 100_000).split()
    os.close(read)
    assert len(theirs) == len(popped) == 50
    assert not set(theirs) & set(popped)


def is_loading(port: int) -> bool:
    try:
        with talk(port) as client:
            client.ping()
    except BusyLoadingError:
        return True
    except RedisError:
        return False
    return False


def give_up(q: Subject) -> None:
    """Ask until the outage counts as long."""
    began = time.monotonic()
    while time.monotonic() - began < 1.5 * TIMEOUT_SECONDS:
        with pytest.raises(StorageUnavailable):
            q.post(b"b")
        time.sleep(random.uniform(0, 0.02))
