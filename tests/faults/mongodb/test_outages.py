"""The server goes away and comes back: in time, in one line, for every thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from queueing.core.clock import ManualClock
from queueing.core.errors import StorageUnavailable
from queueing.core.models import QueueRef
from queueing.storage.contract import Storage
from queueing.storage.registry import open_storage
from tests.contract.subject import Subject, bodies
from tests.support.engines.mongodb import Process, in_database
from tests.support.proxy import Proxy

TIMEOUT_SECONDS = 4.0
SLACK_SECONDS = 10.0
"""By how much a machine that is busy may be late; what is hung would take for ever."""


@pytest.fixture
def impatient(disk: Process) -> Iterator[Storage]:
    opened = open_storage(in_database(disk.uri, "outages"), timeout_seconds=TIMEOUT_SECONDS)
    yield opened
    opened.close()


@pytest.fixture
def q(impatient: Storage, clock: ManualClock) -> Subject:
    return Subject(impatient, QueueRef("project", "q"), clock)


def until_it_answers(q: Subject) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            q.storage.ping()
            return
        except StorageUnavailable:
            assert time.monotonic() < deadline, "the store is back and nobody noticed"
            time.sleep(0.05)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name.startswith("queueing.storage.mongodb")]


def test_an_outage_is_unavailable_in_time_and_logged_once_and_over_without_a_restart(
    q: Subject, disk: Process, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    q.post(b"before")
    disk.stop()
    begin = time.monotonic()
    for _ in range(20):
        with pytest.raises(StorageUnavailable):
            q.post(b"never")
    # Only the first has waited.
    assert time.monotonic() - begin < TIMEOUT_SECONDS + SLACK_SECONDS
    assert len(lines(caplog)) == 1
    assert "is away" in lines(caplog)[0]
    disk.start()
    until_it_answers(q)
    assert len(lines(caplog)) == 2
    assert "is back" in lines(caplog)[1]
    q.post(b"after")
    assert bodies(q.page()) == [b"before", b"after"]


def test_no_thread_hangs_in_an_outage(q: Subject, disk: Process) -> None:
    q.post_number(20)
    stop = threading.Event()
    failures: list[BaseException] = []
    answered = []

    def work() -> None:
        while not stop.is_set():
            try:
                q.post(b"x")
                q.claim()
                answered.append(time.monotonic())
            except StorageUnavailable:
                pass
            except BaseException as failure:
                failures.append(failure)
                raise

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    disk.stop()
    time.sleep(0.5)
    disk.start()
    back = time.monotonic()
    deadline = back + 60
    while not any(at > back for at in answered) and time.monotonic() < deadline:
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join(TIMEOUT_SECONDS + SLACK_SECONDS)
        assert not thread.is_alive()
    assert failures == []
    assert any(at > back for at in answered)


def test_a_server_that_does_not_answer_is_unavailable_in_time(
    q: Subject, disk: Process, caplog: pytest.LogCaptureFixture
) -> None:
    q.post(b"a")
    disk.freeze()
    begin = time.monotonic()
    with pytest.raises(StorageUnavailable):
        q.post(b"b")
    assert time.monotonic() - begin < TIMEOUT_SECONDS + SLACK_SECONDS
    disk.thaw()
    until_it_answers(q)
    q.post(b"c")
    # What was on its way when time was up may have been done, but whole.
    assert bodies(q.page()) in ([b"a", b"c"], [b"a", b"b", b"c"])
    assert len([line for line in lines(caplog) if "is away" in line]) == 1


def test_the_first_request_after_a_short_interruption_is_served(disk: Process) -> None:
    """Every connection of the pool is dead, and nobody needs to know."""
    with Proxy(disk.port) as proxy:
        uri = in_database(f"mongodb://127.0.0.1:{proxy.port}", "interrupted")
        storage = open_storage(uri, timeout_seconds=30.0)
        try:
            q = Subject(storage, QueueRef("project", "q"), ManualClock())
            q.post(b"a")
            proxy.cut_all()
            q.post(b"b")
            proxy.cut_all()
            assert bodies(q.page()) == [b"a", b"b"]
        finally:
            storage.close()


def test_who_asks_for_it_is_told_when_the_server_was_reached_again(
    q: Subject, disk: Process
) -> None:
    told = threading.Event()
    q.post(b"a")
    q.storage.on_reconnect = told.set
    q.post(b"b")
    assert not told.is_set()
    disk.stop()
    disk.start()
    until_it_answers(q)
    assert told.wait(60)


def test_who_asks_for_it_is_told_when_another_server_may_answer_within_a_verb(
    disk: Process,
) -> None:
    """Nothing was away for long enough to be noticed by a client."""
    told = threading.Event()
    with Proxy(disk.port) as proxy:
        uri = in_database(f"mongodb://127.0.0.1:{proxy.port}", "elsewhere")
        storage = open_storage(uri, timeout_seconds=30.0)
        try:
            storage.ping()
            storage.on_reconnect = told.set
            proxy.cut_all()
            storage.ping()
            assert told.wait(60)
        finally:
            storage.close()


def test_a_store_that_is_away_cannot_be_opened_and_says_so_in_time(disk: Process) -> None:
    disk.stop()
    begin = time.monotonic()
    with pytest.raises(StorageUnavailable):
        open_storage(disk.uri, timeout_seconds=TIMEOUT_SECONDS)
    assert time.monotonic() - begin < TIMEOUT_SECONDS + SLACK_SECONDS
