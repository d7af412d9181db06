"""Posters that are not dead but slow: they are taken back, notice, and begin again."""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress

import pytest
from pymongo.monitoring import CommandStartedEvent

from queueing.core.errors import StorageUnavailable
from queueing.core.models import DeadLetterRule, Draft, IdempotencyKey, QueueRef
from queueing.storage.contract import Storage
from queueing.storage.mongodb import ledger
from tests.contract.subject import TTL, Subject, bodies
from tests.faults.mongodb.commands import Commands
from tests.support.clients import Client
from tests.support.history import Event, check

PATIENCE_SECONDS = 60.0
RULE = DeadLetterRule("dead", max_claims=1)


class HoldUp:
    """Holds up the next writing of a post, until it is let go."""

    def __init__(self, commands: Commands) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()
        self._commands = commands
        commands.before = self._before

    def _before(self, event: CommandStartedEvent) -> None:
        if event.command_name == "update" and not self.reached.is_set():
            self.reached.set()
            assert self.go.wait(PATIENCE_SECONDS)

    def end(self) -> None:
        self._commands.before = None


@pytest.fixture
def hold_up(commands: Commands):
    holding = HoldUp(commands)
    yield holding
    holding.end()


def test_a_reader_waits_for_a_slow_poster_only_so_long_and_misses_nothing_of_it(
    q: Subject, hold_up: HoldUp
) -> None:
    hold_up.reached.set()  # not yet
    q.post(b"first")
    hold_up.reached.clear()
    slow = threading.Thread(target=q.post, args=(b"slow 1", b"slow 2"))
    slow.start()
    assert hold_up.reached.wait(PATIENCE_SECONDS)
    q.post(b"quick")  # its sequence is greater than those that were given to the slow one
    seen = q.page()
    assert bodies(seen) == [b"first", b"quick"]
    assert bodies(q.claim(1, ttl=60).claim.messages) == [b"first"]
    hold_up.go.set()
    slow.join()
    assert bodies(q.page(after=seen[-1].sequence)) == [b"slow 1", b"slow 2"]
    assert bodies(q.everything()) == [b"first", b"quick", b"slow 1", b"slow 2"]
    assert q.counts() == (3, 1)


def test_a_slow_poster_that_nobody_waits_for_keeps_its_place(q: Subject, hold_up: HoldUp) -> None:
    slow = threading.Thread(target=q.post, args=(b"slow 1", b"slow 2"))
    slow.start()
    assert hold_up.reached.wait(PATIENCE_SECONDS)
    q.post(b"quick")
    assert q.claimable() == [b"quick"]
    assert q.counts() == (1, 0)
    hold_up.go.set()
    slow.join()
    assert bodies(q.page()) == [b"slow 1", b"slow 2", b"quick"]


def test_a_post_whose_remains_come_late_is_there_once(
    q: Subject, hold_up: HoldUp, commands: Commands
) -> None:
    """Its writing was taken back before it began; what it wrote is void, and in its own way."""
    slow = threading.Thread(target=q.post, args=(b"slow",))
    slow.start()
    assert hold_up.reached.wait(PATIENCE_SECONDS)
    q.post(b"quick")
    q.page()
    hold_up.go.set()
    slow.join()
    while q.storage.collect(now=q.now, limit=100):
        pass
    assert bodies(q.everything()) == [b"quick", b"slow"]
    q.clock.advance(2 * ledger.VOID_SECONDS)
    while q.storage.collect(now=q.now, limit=100):
        pass
    q.post(b"new")
    assert bodies(q.everything()) == [b"new"]


def test_two_posts_with_one_key_at_once_get_the_same_ids(q: Subject, hold_up: HoldUp) -> None:
    key = IdempotencyKey("key", b"d" * 32, q.now + 600)
    answers = []

    def post() -> None:
        answers.append(q.post_drafts([Draft(b"a", TTL), Draft(b"b", TTL)], key=key))

    slow = threading.Thread(target=post)
    slow.start()
    assert hold_up.reached.wait(PATIENCE_SECONDS)
    quick = threading.Thread(target=post)
    quick.start()
    time.sleep(0.05)
    hold_up.go.set()
    slow.join()
    quick.join()
    assert answers[0].ids == answers[1].ids
    assert sorted(answer.replayed for answer in answers) == [False, True]
    assert q.counts() == (2, 0)


@pytest.mark.parametrize("is_late", [False, True])
def test_letters_that_two_forward_at_once_are_accepted_once(
    q: Subject, hold_up: HoldUp, is_late: bool
) -> None:
    """Whether or not the slow one comes back before the other has lost its patience."""
    hold_up.reached.set()  # not yet
    dead = q.sibling("dead")
    dead.post(b"before")
    q.post_number(3)
    q.release(q.take(rule=RULE).id)
    q.claim(rule=RULE)
    letters = q.pile()
    hold_up.reached.clear()
    slow = threading.Thread(target=dead.accept, args=(letters,))
    slow.start()
    assert hold_up.reached.wait(PATIENCE_SECONDS)
    quick = threading.Thread(target=dead.accept, args=(letters,))
    quick.start()
    if is_late:
        quick.join()
        assert bodies(dead.everything()) == [b"before", b"0", b"1", b"2"]
    hold_up.go.set()
    slow.join()
    quick.join()
    assert bodies(dead.everything()) == [b"before", b"0", b"1", b"2"]
    assert dead.counts() == (4, 0)


def test_no_promise_is_broken_when_every_post_is_taken_back_as_soon_as_it_is_seen(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "PATIENCE_SECONDS", 0.0)
    queue = QueueRef("project", "impatient")
    told: list[dict[int, Event]] = []
    failures: list[BaseException] = []
    enough = threading.Event()

    def client(name: str) -> Client:
        events: dict[int, Event] = {}
        told.append(events)
        return Client(storage, queue, name, events.__setitem__)

    def guarded(work: object, *arguments: object) -> threading.Thread:
        def run() -> None:
            try:
                work(*arguments)  # type: ignore[operator]  # one of the two below
            except BaseException as failure:
                failures.append(failure)
                raise

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def post(poster: Client, rng: random.Random) -> None:
        for _ in range(40):
            with suppress(StorageUnavailable):
                poster.post(rng.choice([1, 2, 5]))

    def read(reader: Client, rng: random.Random) -> None:
        marker = 0
        while not enough.is_set():
            marker = reader.page(marker, 20)
            if rng.random() < 0.3:
                claim_id, ids = reader.claim(3)
                for id in ids:
                    reader.delete(id, claim_id)

    readers = [guarded(read, client(f"r{n}"), random.Random(n)) for n in range(3)]
    posters = [guarded(post, client(f"p{n}"), random.Random(n)) for n in range(3)]
    for thread in posters:
        thread.join()
    enough.set()
    for thread in readers:
        thread.join()
    assert failures == []
    client("rest").rest()
    history = [event for events in told for event in events.values()]
    assert check(history) == []
