"""Counts are exact, whatever has become of the messages and whether or not it was swept."""

from __future__ import annotations

from queueing.core.models import Milestone, Stats
from tests.contract.subject import MOMENT, Subject


def test_a_missing_and_an_empty_queue_have_nothing(q: Subject) -> None:
    assert q.stats() == Stats(0, 0, None, None)
    q.create()
    assert q.stats() == Stats(0, 0, None, None)
    (id,) = q.post(b"a")
    q.delete(id)
    assert q.stats() == Stats(0, 0, None, None)


def test_oldest_and_newest_are_the_first_and_the_last_by_sequence(q: Subject) -> None:
    start = q.now
    (first,) = q.post(b"a")
    assert q.stats() == Stats(1, 0, Milestone(first, start), Milestone(first, start))
    q.clock.advance(7.5)
    *_, last = q.post(b"b", b"c")
    assert q.stats() == Stats(3, 0, Milestone(first, start), Milestone(last, start + 7.5))


def test_oldest_and_newest_may_be_claimed_or_delayed(q: Subject) -> None:
    start = q.now
    (held,) = q.post(b"held")
    q.post(b"free")
    (late,) = q.post(b"late", delay=60)
    q.take(1)
    assert q.stats() == Stats(2, 1, Milestone(held, start), Milestone(late, start))


def test_oldest_and_newest_are_never_expired_or_deleted(q: Subject) -> None:
    start = q.now
    q.post(b"short", ttl=60)
    first, second, third = q.post(b"a", b"b", b"c", ttl=600)
    q.post(b"short", ttl=60)
    q.clock.advance(60)
    assert q.stats() == Stats(3, 0, Milestone(first, start), Milestone(third, start))
    q.delete(first)
    q.delete(third)
    assert q.stats() == Stats(1, 0, Milestone(second, start), Milestone(second, start))


def test_oldest_goes_by_sequence_also_while_the_clock_goes_back(q: Subject) -> None:
    start = q.now
    (first,) = q.post(b"a")
    q.clock.advance(-5)
    (last,) = q.post(b"b")
    assert q.stats() == Stats(2, 0, Milestone(first, start), Milestone(last, start - 5))


def test_delayed_messages_count_as_free(q: Subject) -> None:
    q.post_number(3, delay=60)
    q.post_number(2)
    assert q.counts() == (5, 0)
    q.take(5)
    assert q.counts() == (3, 2)
    q.clock.advance(60)
    assert q.counts() == (3, 2)


def test_an_expired_claims_messages_count_as_free_from_that_moment(q: Subject) -> None:
    q.post_number(7)
    q.take(3, ttl=60)
    q.take(2, ttl=120)
    assert q.counts() == (2, 5)
    q.clock.advance(60 - MOMENT)
    assert q.counts() == (2, 5)
    q.clock.advance(MOMENT)
    assert q.counts() == (5, 2)
    q.clock.advance(60)
    assert q.counts() == (7, 0)


def test_every_mixture_is_counted_exactly(q: Subject) -> None:
    """Free, delayed, claimed, expired, and each of them having become so only by time."""
    q.post_number(4, ttl=60)  # expire free, or claimed below for shorter than they live
    q.take(1, ttl=60, grace=60)  # ends with its message's lifetime: both are over at 60
    q.post_number(8, ttl=600)
    q.post_number(16, ttl=600, delay=30)
    q.post_number(32, ttl=90, delay=300)  # expire while delayed
    assert q.counts() == (3 + 8 + 16 + 32, 1)
    q.clock.advance(30)
    assert q.counts() == (3 + 8 + 16 + 32, 1)
    q.clock.advance(30)  # 60: the first four are gone
    assert q.counts() == (8 + 16 + 32, 0)
    q.take(10, ttl=60)  # all eight and two of the sixteen
    assert q.counts() == (14 + 32, 10)
    q.clock.advance(30)  # 90: thirty-two are gone unseen
    assert q.counts() == (14, 10)
    q.clock.advance(30)  # 120: the claim is over
    assert q.counts() == (24, 0)
    q.pop(4)
    q.take(6, ttl=600, grace=60)  # extended to 120 + 660
    assert q.counts() == (14, 6)
    q.clock.advance(480)  # 600: all but the extended ones are gone
    assert q.counts() == (0, 6)
    q.clock.advance(120)
    assert q.counts() == (6, 0)
    q.clock.advance(60)
    assert q.stats() == Stats(0, 0, None, None)


def test_deleting_from_each_state_is_counted(q: Subject) -> None:
    held, free = q.post(b"held", b"free")
    (late,) = q.post(b"late", delay=60)
    claim = q.take(1)
    assert q.counts() == (2, 1)
    q.delete(late)
    assert q.counts() == (1, 1)
    q.delete(held, claim.id)
    assert q.counts() == (1, 0)
    q.delete(free)
    assert q.counts() == (0, 0)


def test_counts_of_thousands_are_exact(q: Subject) -> None:
    q.post_number(1000, ttl=60)
    q.post_number(1000, ttl=600)
    q.post_number(1000, ttl=600, delay=60)
    q.take(500, ttl=60, grace=60)
    assert q.counts() == (2500, 500)
    q.clock.advance(60)
    assert q.counts() == (2000, 0)


def test_stats_change_nothing(q: Subject) -> None:
    q.post(b"a", b"b", ttl=120)
    claim = q.take(1, ttl=60)
    assert q.stats() == q.stats()
    assert q.held(claim.id) == claim
    assert q.claimable() == [b"b"]
