"""Bringing back what waited: exact up to `DUE_PER_STEP`, nothing lost beyond."""

from __future__ import annotations

import pytest

from queueing.core.models import Draft
from queueing.storage.contract import DUE_PER_STEP
from tests.contract.subject import Subject, bodies

BEYOND = DUE_PER_STEP + 500


def post_due_in_reverse(q: Subject, number: int) -> None:
    """Messages of which the oldest waits longest: all are due after 900 s, the last one first."""
    q.post_drafts(
        [
            Draft(b"%d" % index, 7200, delay)
            for index in range(number)
            for delay in [900 - index * 800 // number]
        ]
    )


@pytest.mark.parametrize("take", ["claim", "pop"])
def test_order_is_exact_when_no_more_became_due_than_a_step_brings_back(
    q: Subject, take: str
) -> None:
    post_due_in_reverse(q, DUE_PER_STEP)
    q.post(b"last", ttl=7200)
    q.clock.advance(900)
    messages = q.take(10).messages if take == "claim" else q.pop(10)
    assert bodies(messages) == [b"%d" % index for index in range(10)]


def test_order_is_exact_when_claims_ran_out_together(q: Subject) -> None:
    q.post_number(DUE_PER_STEP)
    for _ in range(10):
        q.take(DUE_PER_STEP // 10, ttl=60)
    q.post(b"last")
    q.clock.advance(60)
    assert bodies(q.take(10).messages) == [b"%d" % index for index in range(10)]


def test_order_is_exact_when_delays_and_claims_end_together(q: Subject) -> None:
    q.post_number(DUE_PER_STEP // 2, ttl=7200)
    q.take(DUE_PER_STEP // 2, ttl=900)
    post_due_in_reverse(q, DUE_PER_STEP // 2)
    q.clock.advance(900)
    expected = [b"%d" % index for index in range(DUE_PER_STEP // 2)] * 2
    assert bodies(q.take(DUE_PER_STEP).messages) == expected


@pytest.mark.parametrize("take", ["claim", "pop"])
def test_everything_is_served_once_when_more_became_due(q: Subject, take: str) -> None:
    post_due_in_reverse(q, BEYOND)
    q.clock.advance(900)
    served: list[bytes] = []
    while len(served) < BEYOND:
        messages = q.take(200).messages if take == "claim" else q.pop(200)
        assert messages, f"nothing came after {len(served)}"
        served += bodies(messages)
    assert sorted(map(int, served)) == list(range(BEYOND))
    assert q.claim().claim is None


def test_the_longest_over_come_first_when_more_became_due(q: Subject) -> None:
    q.post_number(DUE_PER_STEP, delay=60)
    q.post(*[b"later"] * 500, delay=61)
    q.clock.advance(61)
    served = bodies(q.take(DUE_PER_STEP).messages)
    assert served == [b"%d" % index for index in range(DUE_PER_STEP)]


def test_listings_and_counts_are_exact_however_many_became_due(q: Subject) -> None:
    post_due_in_reverse(q, BEYOND)
    q.clock.advance(900)
    assert bodies(q.page(limit=10)) == [b"%d" % index for index in range(10)]
    assert len(q.page()) == BEYOND
    assert q.counts() == (BEYOND, 0)
    q.take(10)
    assert q.counts() == (BEYOND - 10, 10)


def test_expired_messages_that_wait_take_nobodys_turn(q: Subject) -> None:
    q.post_number(BEYOND, ttl=60, delay=50)
    q.post_number(10, ttl=600, delay=61)
    q.clock.advance(61)
    assert q.counts() == (10, 0)
    assert bodies(q.page()) == [b"%d" % index for index in range(10)]
    served: list[bytes] = []
    for _ in range(4):  # a step may spend its share on clearing expired ones away
        claim = q.claim().claim
        served += bodies(claim.messages) if claim else []
    assert served == [b"%d" % index for index in range(10)]
