"""Sweeping changes no answer, and in the end leaves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from queueing.core.errors import ClaimNotFound
from queueing.core.models import DeadLetterRule, Draft, IdempotencyKey, Posted
from queueing.storage.contract import BURIAL_SECONDS
from tests.contract.subject import MOMENT, Subject, bodies

RULE = DeadLetterRule("dead", max_claims=1)


def sweep(q: Subject, limit: int = 1000) -> int:
    """Collect until nothing is left for now; how many were swept."""
    total = 0
    while True:
        swept = q.storage.collect(now=q.now, limit=limit)
        assert swept >= 0
        total += swept
        if swept < limit:
            return total


def fill(q: Subject) -> list[str]:
    """Something of everything that can be over; the ids of the claims."""
    q.post(b"free", ttl=60)
    q.post(b"long", ttl=600, key=IdempotencyKey("key", b"d" * 32, q.now + 120))
    claims = [q.take(1, ttl=60).id, q.take(1, ttl=120).id]
    q.post(b"late", ttl=60, delay=300)
    q.post(b"late long", ttl=900, delay=300)
    q.post(b"buried", b"buried long", ttl=70)
    q.release(q.take(2, rule=RULE, ttl=60).id)
    letters = q.claim(rule=RULE).dead_letters
    assert len(letters) == 2
    q.sibling("dead").accept(letters[:1])
    q.clear(letters[:1])
    return claims


def answers(q: Subject, claims: list[str]) -> list[Any]:
    """Everything that can be asked without changing anything."""
    seen: list[Any] = []
    for subject in [q, q.sibling("dead")]:
        seen += [subject.page(), subject.everything(), subject.stats(), subject.pile()]
        seen.append(subject.storage.queues.fetch(subject.ref))
    for claim in claims:
        try:
            seen.append(q.held(claim))
        except ClaimNotFound:
            seen.append(None)
    seen.append(q.storage.queues.page(q.ref.project, after="", limit=100))
    seen.append(q.storage.queues.count(q.ref.project))
    return seen


@pytest.mark.parametrize("limit", [1, 3, 1000])
@pytest.mark.parametrize("after", [0, 60, 70, 120, 130, 300, 600, 900, 90_000])
def test_sweeping_changes_no_answer(q: Subject, after: float, limit: int) -> None:
    claims = fill(q)
    q.clock.advance(after)
    before = answers(q, claims)
    sweep(q, limit)
    assert answers(q, claims) == before


@pytest.mark.parametrize("after", [0, 60, 120, 300])
def test_sweeping_changes_nothing_of_what_is_served_next(q: Subject, after: float) -> None:
    twin = q.elsewhere(q.ref.project + "-2")
    for subject in [q, twin]:
        fill(subject)
    q.clock.advance(after)
    twin_served = [bodies(twin.pop(1)), twin.claimable()]
    sweep(q)
    assert [bodies(q.pop(1)), q.claimable()] == twin_served


def test_a_sweep_that_is_done_finds_nothing_more(q: Subject) -> None:
    fill(q)
    for step in [60, 60, 180, 300, 600, BURIAL_SECONDS]:
        q.clock.advance(step)
        sweep(q)
        assert sweep(q) == 0


def test_expired_messages_are_swept(q: Subject) -> None:
    q.post_number(250, ttl=60)
    q.post_number(250, ttl=60, delay=900)
    q.post(b"stays", ttl=600)
    q.clock.advance(60)
    assert sweep(q, limit=100) >= 500
    assert bodies(q.everything()) == [b"stays"]


def test_a_sweep_is_as_long_as_its_limit_about(q: Subject) -> None:
    q.post_number(500, ttl=60)
    q.clock.advance(60)
    first = q.storage.collect(now=q.now, limit=100)
    assert first >= 100
    assert first + sweep(q) >= 500
    assert q.everything() == []


def test_a_key_that_is_not_over_is_never_swept(q: Subject) -> None:
    first = q.post(b"a", ttl=60, key=IdempotencyKey("key", b"d" * 32, q.now + 120))
    q.clock.advance(119)
    sweep(q)
    q.drop()
    sweep(q)
    key = IdempotencyKey("key", b"d" * 32, q.now + 120)
    assert q.post_drafts([Draft(b"a", 60)], key=key) == Posted(first, replayed=True)


def test_a_burial_that_is_remembered_is_never_swept(q: Subject) -> None:
    q.post(b"a", ttl=2 * BURIAL_SECONDS)
    q.release(q.take(rule=RULE).id)
    letters = q.claim(rule=RULE).dead_letters
    dead = q.sibling("dead")
    dead.accept(letters)
    dead.drop()
    q.clock.advance(BURIAL_SECONDS - 1)
    sweep(q)
    dead.accept(letters)
    assert dead.everything() == []


def test_a_pile_that_is_not_over_is_never_swept(q: Subject) -> None:
    q.post(b"a", ttl=600)
    q.release(q.take(rule=RULE).id)
    letters = list(q.claim(rule=RULE).dead_letters)
    q.drop()
    q.clock.advance(599)
    sweep(q)
    assert q.pile() == letters
    assert q.ref in q.storage.piles(limit=100_000)
    q.clock.advance(1)
    sweep(q)
    assert q.ref not in q.storage.piles(limit=100_000)


def test_sequences_and_fences_grow_on_over_sweeping(q: Subject) -> None:
    q.post(b"a", b"b", ttl=60)
    last = q.everything()[-1].sequence
    fence = q.take(1, ttl=60).fence
    q.purge()
    q.clock.advance(60)
    sweep(q)
    q.clock.advance(-60 - MOMENT)  # another node's clock may be behind
    q.post(b"c", ttl=600)
    assert q.everything()[-1].sequence > last
    assert q.take(1).fence > fence


def test_a_queue_stays_when_all_its_messages_are_swept(q: Subject) -> None:
    q.create(b'{"a":1}')
    before = q.metadata
    q.knowing(before.version).post(b"a", ttl=60)
    q.clock.advance(BURIAL_SECONDS * 30)
    sweep(q)
    assert q.metadata == before
