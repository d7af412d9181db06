"""Many processes on one store: nothing lost, nothing twice, all in order, no marker misses any."""

from __future__ import annotations

import random
import time
from multiprocessing.synchronize import Barrier
from multiprocessing.synchronize import Event as Flag

import pytest

from queueing.core.models import QueueRef
from queueing.storage.contract import Storage
from tests.support.clients import Client, Process, context
from tests.support.history import Event, check

PATIENCE_SECONDS = 120.0
POSTS = 80


def produce(client: Client, rng: random.Random, start: Barrier) -> None:
    """Singles and batches."""
    start.wait(PATIENCE_SECONDS)
    for _ in range(POSTS):
        client.post(rng.choice([1, 1, 1, 2, 5, 12]))


def consume(client: Client, rng: random.Random, start: Barrier, all_posted: Flag) -> None:
    """Claim, then delete one by one or at once, or think better of it."""
    start.wait(PATIENCE_SECONDS)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (all_posted.is_set() and client.is_empty()) and time.monotonic() < deadline:
        claim_id, ids = client.claim(rng.choice([1, 3, 10]))
        if not ids:
            time.sleep(0.002)
        elif rng.random() < 0.15:
            client.release(claim_id)
        elif rng.random() < 0.3:
            client.delete_many(ids, claim_id)
        else:
            for id in ids:
                client.delete(id, claim_id)


def pop(client: Client, rng: random.Random, start: Barrier, all_posted: Flag) -> None:
    start.wait(PATIENCE_SECONDS)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (all_posted.is_set() and client.is_empty()) and time.monotonic() < deadline:
        client.pop(rng.choice([1, 2]))
        time.sleep(0.01)  # leaves something to those who claim


def follow(client: Client, rng: random.Random, start: Barrier, all_posted: Flag) -> None:
    """Read on from the last marker, to the end of what was posted."""
    start.wait(PATIENCE_SECONDS)
    marker = 0
    while True:
        last_round = all_posted.is_set()
        after = client.page(marker, rng.choice([3, 10, 20]))
        if after == marker:
            if last_round:
                return
            time.sleep(0.002)
        marker = after


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


@pytest.mark.timeout(300)
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


@pytest.mark.timeout(300)
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
