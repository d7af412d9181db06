"""Many processes on one store: nothing lost, nothing twice, all in order, no marker misses any."""

from __future__ import annotations

from multiprocessing.synchronize import Event as Flag

import pytest

from queueing.core.models import QueueRef
from queueing.storage.contract import Storage
from tests.support.clients import Client, Process, context
from tests.support.history import Event, check
from tests.support.roles import consume, follow, pop, produce


def run(producers: list[Process], others: list[Process], all_posted: Flag) -> list[Event]:
    history: list[Event] = []
    for process in producers:
        history += process.finish()
    all_posted.set()
    for process in others:
        history += process.finish()
    assert {process.exit_code for process in producers + others} == {0}
    return history


def rest(storage: Storage, queue: QueueRef) -> list[Event]:
    """What is there in the end."""
    told: dict[int, Event] = {}
    Client(storage, queue, "rest", told.__setitem__).rest()
    return list(told.values())


@pytest.mark.timeout(1200)
def test_processes_that_post_claim_pop_and_read_break_no_promise(
    storage: Storage, storage_uri: str, project: str
) -> None:
    queue = QueueRef(project, "work")
    start, all_posted = context().Barrier(9), context().Event()
    producers = [Process(storage_uri, queue, f"producer{n}", produce, start) for n in range(3)]
    others = [
        *(Process(storage_uri, queue, f"worker{n}", consume, start, all_posted) for n in range(3)),
        Process(storage_uri, queue, "popper", pop, start, all_posted),
        *(Process(storage_uri, queue, f"reader{n}", follow, start, all_posted) for n in range(2)),
    ]
    history = run(producers, others, all_posted) + rest(storage, queue)
    assert check(history) == []
    taken = [m for e in history if e.verb in ("claim", "pop") for m in e.messages]
    posted = [body for e in history if e.verb == "post" for body in e.bodies]
    assert {message.body for message in taken} == set(posted)
    assert history[-1].messages == ()


@pytest.mark.timeout(1200)
def test_readers_who_follow_markers_see_every_message_of_many_posters_once(
    storage: Storage, storage_uri: str, project: str
) -> None:
    queue = QueueRef(project, "log")
    start, all_posted = context().Barrier(8), context().Event()
    producers = [Process(storage_uri, queue, f"producer{n}", produce, start) for n in range(5)]
    readers = [
        Process(storage_uri, queue, f"reader{n}", follow, start, all_posted) for n in range(3)
    ]
    history = run(producers, readers, all_posted) + rest(storage, queue)
    assert check(history) == []
    there = [message.id for message in history[-1].messages]
    assert len(there) == sum(len(event.bodies) for event in history if event.verb == "post")
    for reader in ["reader0", "reader1", "reader2"]:
        pages = sorted((e.start, e.messages) for e in history if e.worker == reader)
        assert [message.id for _, page in pages for message in page] == there
