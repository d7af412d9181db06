"""Who waits costs the server one small question at a time, whatever is waited for; who does not, nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from pymongo.monitoring import CommandStartedEvent

from queueing.core.clock import ManualClock
from queueing.core.models import QueueRef
from queueing.storage.contract import UNKNOWN, Announces
from queueing.storage.mongodb.announcing import DOUBTS, Followed
from queueing.storage.registry import open_storage
from tests.contract.subject import Subject
from tests.faults.mongodb.commands import Commands
from tests.support.engines.mongodb import Process, in_database

PATIENCE_SECONDS = 60.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "announcements"]


def test_all_queues_that_are_followed_are_asked_for_in_one_question(
    q: Subject, commands: Commands
) -> None:
    asked: list[CommandStartedEvent] = []
    store = q.storage
    assert isinstance(store, Announces)
    queues = [QueueRef(f"project{n % 3}", f"q{n}") for n in range(20)]
    for queue in queues:
        assert store.follow(queue)
    commands.before = asked.append
    try:
        until(lambda: len(asked) >= 5)
    finally:
        commands.before = None
    for event in asked:
        assert event.command_name == "find"
        wanted = event.command["filter"]
        assert len(wanted["_id"]["$in"]) == 20
        assert set(wanted["p"]["$in"]) == {queue.project for queue in queues}
        assert set(wanted["q"]["$in"]) == {queue.name for queue in queues}


def test_nothing_is_asked_where_nobody_waits(q: Subject, commands: Commands) -> None:
    store = q.storage
    assert isinstance(store, Announces)
    before = len(watchers())
    assert store.follow(q.ref)
    assert len(watchers()) == before + 1
    store.unfollow(q.ref)
    until(lambda: len(watchers()) == before)
    assert store.follow(q.ref)
    store.close()
    until(lambda: len(watchers()) == before)


def test_what_was_posted_beside_an_outage_is_heard_of_after_it(
    disk: Process,
) -> None:
    uri = in_database(disk.uri, "news")
    waiting = open_storage(uri, timeout_seconds=4.0)
    posting = open_storage(uri, timeout_seconds=30.0)
    try:
        assert isinstance(waiting, Announces)
        q = Subject(posting, QueueRef("project", "q"), ManualClock(time.time()))
        heard: list[int] = []
        waiting.listen(lambda queue, count: heard.append(count))
        assert waiting.follow(q.ref)
        disk.stop()
        disk.start()
        q.post(b"a")
        until(lambda: heard == [UNKNOWN])
        q.post(b"b")
        until(lambda: len(heard) == 2)
    finally:
        waiting.close()
        posting.close()


def test_who_waits_hears_nothing_of_what_is_done_here_and_all_of_what_is_done_elsewhere(
    q: Subject, uri: str
) -> None:
    heard: list[QueueRef] = []
    elsewhere = open_storage(uri, timeout_seconds=30.0)
    try:
        store = q.storage
        assert isinstance(store, Announces)
        other = q.sibling("other")
        store.listen(lambda queue, count: heard.append(queue))
        assert store.follow(q.ref)
        assert store.follow(other.ref)
        for _ in range(3):
            q.post(b"here")
            q.release(q.take().id)
            other.post(b"here")
        replace(other, storage=elsewhere).post(b"elsewhere")
        until(lambda: other.ref in heard)
        assert q.ref not in heard
        replace(q, storage=elsewhere).post(b"elsewhere")
        until(lambda: q.ref in heard)
    finally:
        elsewhere.close()


def test_one_step_of_another_is_heard_among_many_of_this_process() -> None:
    followed = Followed(100)
    followed.own = 5
    followed.on_their_way = 1
    assert not followed.others_did(105, own_before=5)
    for _ in range(DOUBTS - 1):
        assert not followed.others_did(106, own_before=5)  # that may be the one on its way
    assert followed.others_did(106, own_before=5)  # or it is not
    followed.on_their_way = 0
    followed.own = 6
    assert not followed.others_did(106, own_before=6)
    assert followed.others_did(107, own_before=6)
    assert not followed.others_did(107, own_before=6)


def test_a_number_that_begins_again_is_told() -> None:
    followed = Followed(100)
    followed.own = 5
    assert followed.others_did(1, own_before=5)
    assert not followed.others_did(1, own_before=5)
    assert followed.others_did(2, own_before=5)
