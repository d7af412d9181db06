"""A process dies at each point between its commands: all is done or nothing, and no reader misses any."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Iterator

import pytest

from queueing.core.clock import Clock
from queueing.core.models import Draft, IdempotencyKey, QueueRef
from queueing.storage.contract import Storage
from tests.contract.subject import TTL, Subject, bodies, ids
from tests.faults.mongodb.commands import Commands
from tests.faults.mongodb.victim import PROJECT, RULE, live
from tests.support.clients import context

_names = itertools.count()


class Wall:
    """Victims read the wall clock; tests move on from it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds


@pytest.fixture
def clock() -> Clock:
    return Wall()


def points(uri: str, what: str, prepared: Subject) -> Iterator[tuple[Subject, str]]:
    """Kill somebody who does `what` to a queue of his own at each point there is."""
    for when in ["before", "after"]:
        for number in itertools.count():
            name = f"q{next(_names)}"
            q = prepared.sibling(name)
            yield q, "alive"
            victim = context().Process(target=live, args=(uri, name, what, when, number))
            victim.start()
            victim.join()
            if victim.exitcode == 0:  # there are no more commands than that
                break
            assert victim.exitcode == -signal.SIGKILL
            yield q, f"killed {when} command {number}"


@pytest.fixture
def q(storage: Storage, clock: Wall) -> Subject:
    return Subject(storage, QueueRef(PROJECT, "q"), clock)  # type: ignore[arg-type]  # has what is used


@pytest.mark.parametrize(
    ("what", "number"), [("post", 1), ("batch", 3), ("post with key", 3), ("long batch", 1100)]
)
def test_a_poster_dies_and_all_or_nothing_is_there(
    uri: str, q: Subject, what: str, number: int
) -> None:
    outcomes = set()
    for queue, story in points(uri, what, q):
        if story == "alive":
            queue.post(b"first")
            continue
        marker = queue.everything()[0].sequence
        queue.post(b"second")  # nobody waits for the dead
        seen = queue.page(after=marker)
        rest = queue.page(after=seen[-1].sequence)
        found = bodies(seen + rest)
        dead = [b"dead-%d" % index for index in range(number)]
        assert found in ([b"second"], [*dead, b"second"], [b"second", *dead]), story
        outcomes.add(len(found) > 1)
        assert rest == []
        assert bodies(queue.everything()) == [b"first", *found], story
        assert queue.counts() == (len(found) + 1, 0), story
        queue.post(b"third")
        assert bodies(queue.page(after=seen[-1].sequence)) == [b"third"], story
        assert queue.claimable() == [b"first", *found, b"third"], story
        if what == "post with key":
            key = IdempotencyKey("key", b"d" * 32, queue.now + 600)
            again = queue.post_drafts([Draft(body, TTL) for body in dead], key=key)
            assert again.replayed == (len(found) > 1), story
            assert queue.counts() == (3 + number, 0), story
        queue.drop()
        while queue.storage.collect(now=queue.now, limit=1000):
            pass  # the server of the tests gets slower with all that it has
    assert outcomes == {True, False}


def test_a_claim_waits_for_no_dead_poster_and_a_listing_once(
    uri: str, q: Subject, commands: Commands
) -> None:
    for queue, story in points(uri, "batch", q):
        if story == "alive":
            continue
        queue.post(b"new")
        with commands.counted() as names:
            assert queue.claim(100).claim
        assert len(names) <= 6, story
        queue.everything()
        with commands.counted() as names:
            queue.everything()
        assert names == ["find", "find"], story


@pytest.mark.parametrize("what", ["claim", "pop"])
def test_a_taker_dies_and_what_it_held_is_served_again_or_popped(
    uri: str, q: Subject, what: str
) -> None:
    for queue, story in points(uri, what, q):
        if story == "alive":
            queue.post_number(8)
            continue
        free, held = queue.counts()
        assert free + held == (8 if what == "claim" else free), story
        assert free in ((3, 8) if what == "claim" else (5, 8)), story
        queue.clock.advance(61)
        expected = [b"%d" % number for number in range(0 if what == "claim" else 8 - free, 8)]
        assert queue.claimable() == expected, story


def test_a_forwarder_dies_and_each_letter_is_forwarded_once(uri: str, q: Subject) -> None:
    dead = q.sibling(RULE.target)
    for queue, story in points(uri, "forward", q):
        if story == "alive":
            dead.drop()
            queue.post_number(3)
            queue.release(queue.take(rule=RULE).id)
            queue.claim(rule=RULE)
            continue
        letters = queue.pile()
        dead.accept(letters)
        queue.clear(letters)
        assert bodies(dead.everything()) == [b"0", b"1", b"2"], story
        assert len(set(ids(dead.everything()))) == 3
        assert queue.pile() == [], story


@pytest.mark.parametrize("what", ["purge", "delete queue"])
def test_who_empties_a_queue_dies_and_it_is_empty_or_as_it_was(
    uri: str, q: Subject, what: str
) -> None:
    for queue, story in points(uri, what, q):
        if story == "alive":
            queue.post_number(5)
            queue.take(2)
            continue
        assert len(queue.everything()) in (0, 5), story
        assert sum(queue.counts()) == len(queue.everything()), story
        queue.post(b"new")
        assert bodies(queue.everything())[-1] == b"new", story
        while queue.storage.collect(now=queue.now, limit=100):
            pass
        assert bodies(queue.everything())[-1] == b"new", story
