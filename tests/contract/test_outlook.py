"""What those who wait ask for: how many messages are free, when the next one gets free."""

from __future__ import annotations

import pytest

from queueing.core.models import DeadLetter, Draft, Outlook
from tests.contract.subject import MOMENT, Subject


def test_nothing_is_to_be_expected_of_a_missing_or_empty_queue(q: Subject) -> None:
    assert q.outlook() == Outlook(0, None)
    q.create()
    assert q.outlook() == Outlook(0, None)
    assert q.exists()


def test_asking_makes_no_queue(q: Subject) -> None:
    q.outlook()
    assert not q.exists()


def test_free_messages_count_up_to_the_limit(q: Subject) -> None:
    q.post_number(7)
    assert q.outlook(limit=10) == Outlook(7, None)
    assert q.outlook(limit=7) == Outlook(7, None)
    assert q.outlook(limit=3) == Outlook(3, None)
    q.pop(6)
    assert q.outlook() == Outlook(1, None)


def test_asking_changes_nothing(q: Subject) -> None:
    q.post(b"free")
    q.post(b"late", delay=60)
    for _ in range(3):
        assert q.outlook() == Outlook(1, q.now + 60)
    assert q.counts() == (2, 0)


@pytest.mark.parametrize("delays", [(600, 60), (60, 600)])
def test_the_soonest_delay_is_the_next_to_end(q: Subject, delays: tuple[int, int]) -> None:
    posted_at = q.now
    q.post_drafts([Draft(b"x", 3600, delay) for delay in delays])
    assert q.outlook() == Outlook(0, posted_at + 60)
    q.clock.advance(60 - MOMENT)
    assert q.outlook() == Outlook(0, posted_at + 60)


def test_the_end_of_a_claim_is_expected(q: Subject) -> None:
    q.post_number(3)
    claimed_at = q.now
    q.take(2, ttl=300)
    assert q.outlook() == Outlook(1, claimed_at + 300)
    q.take(1, ttl=60)
    assert q.outlook() == Outlook(0, claimed_at + 60)


def test_the_sooner_of_a_delay_and_a_claim_is_expected(q: Subject) -> None:
    q.post(b"claimed")
    started = q.now
    q.take(1, ttl=300)
    q.post(b"late", delay=600)
    assert q.outlook() == Outlook(0, started + 300)
    q.post(b"soon", delay=100)
    assert q.outlook() == Outlook(0, started + 100)


def test_what_is_due_counts_as_free_before_anybody_brings_it_back(q: Subject) -> None:
    q.post_number(2)
    q.take(2, ttl=60)
    q.post(b"late", delay=60)
    q.post(b"later", delay=61)
    q.clock.advance(60)
    assert q.outlook() == Outlook(3, q.now + 1)
    q.clock.advance(1)
    assert q.outlook() == Outlook(4, None)
    assert q.outlook(limit=2) == Outlook(2, None)


def test_a_renewed_claim_is_expected_to_end_later_or_sooner(q: Subject) -> None:
    q.post(b"x")
    claim = q.take(ttl=60)
    q.clock.advance(30)
    q.renew(claim.id, ttl=300)
    assert q.outlook() == Outlook(0, q.now + 300)
    q.renew(claim.id, ttl=60)
    assert q.outlook() == Outlook(0, q.now + 60)


def test_a_released_claim_is_expected_no_more(q: Subject) -> None:
    q.post(b"x")
    q.release(q.take().id)
    assert q.outlook() == Outlook(1, None)


def test_what_was_deleted_is_expected_no_more(q: Subject) -> None:
    q.post(b"x")
    claim = q.take()
    q.delete(claim.messages[0].id, claim.id)
    [late] = q.post(b"late", delay=60)
    q.delete(late)
    assert q.outlook() == Outlook(0, None)


def test_no_answer_is_too_few_or_too_late_after_a_purge(q: Subject) -> None:
    q.post_number(5)
    q.take(2, ttl=300)
    q.purge()
    q.post(b"new")
    q.post(b"late", delay=100)
    free, due_at = q.outlook()
    assert free >= 1
    assert due_at is not None
    assert q.now < due_at <= q.now + 100


def test_no_answer_is_too_few_or_too_late_when_messages_expired(q: Subject) -> None:
    q.post_number(5, ttl=60)
    q.post(b"hidden", ttl=60, delay=900)
    q.clock.advance(60)
    q.post(b"new")
    q.post(b"late", delay=100)
    free, due_at = q.outlook()
    assert free >= 1
    assert due_at is not None
    assert q.now < due_at <= q.now + 100


def test_what_was_accepted_is_free(q: Subject) -> None:
    q.post(b"x")
    [message] = q.pop()
    target = q.sibling("morgue")
    target.accept([DeadLetter("burial", "morgue", message)])
    assert target.outlook() == Outlook(1, None)


def test_others_queues_and_projects_do_not_count(q: Subject) -> None:
    q.sibling("other").post(b"x")
    q.sibling("other").post(b"late", delay=60)
    q.elsewhere("elsewhere").post(b"x")
    assert q.outlook() == Outlook(0, None)
