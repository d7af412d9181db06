"""Deleting one, several, all; popping."""

from __future__ import annotations

import pytest

from queueing.core.errors import ClaimExpired, ClaimNotFound, MessageIsClaimed, WrongClaim
from tests.contract.subject import MOMENT, Subject, bodies, ids

UNKNOWN = ["0" * 32, "no-such-claim", "", "\u00e9"]

# One


def test_a_free_message_is_deleted_without_a_claim(q: Subject) -> None:
    a, b = q.post(b"a", b"b")
    q.delete(a)
    assert bodies(q.everything()) == [b"b"]
    assert q.counts() == (1, 0)
    assert q.get(a) == []
    assert q.claimable() == [b"b"]
    q.delete(b)
    assert q.counts() == (0, 0)


@pytest.mark.parametrize("claim_id", [None, *UNKNOWN])
def test_deleting_a_missing_message_does_not_matter_whatever_claim_is_named(
    q: Subject, claim_id: str | None
) -> None:
    (id,) = q.post(b"a")
    q.delete("absent", claim_id)
    q.delete(id)
    q.delete(id, claim_id)
    q.post(b"b")
    live = q.take()
    q.delete(id, live.id)
    assert q.counts() == (0, 1)


@pytest.mark.parametrize("claim_id", UNKNOWN)
def test_a_free_message_is_kept_when_an_unknown_claim_is_named(q: Subject, claim_id: str) -> None:
    (id,) = q.post(b"a")
    with pytest.raises(ClaimExpired):
        q.delete(id, claim_id)
    assert bodies(q.page()) == [b"a"]


def test_a_free_message_is_kept_when_a_live_claim_on_others_is_named(q: Subject) -> None:
    _, free = q.post(b"held", b"free")
    claim = q.take(1)
    with pytest.raises(ClaimExpired):
        q.delete(free, claim.id)
    assert q.counts() == (1, 1)


def test_a_delayed_message_is_kept_when_a_claim_is_named(q: Subject) -> None:
    (id,) = q.post(b"late", delay=60)
    with pytest.raises(ClaimExpired):
        q.delete(id, "absent")
    assert bodies(q.everything()) == [b"late"]


def test_a_claimed_message_is_kept_when_no_claim_is_named(q: Subject) -> None:
    (id,) = q.post(b"a")
    claim = q.take()
    with pytest.raises(MessageIsClaimed):
        q.delete(id)
    assert ids(q.held(claim.id).messages) == [id]


def test_a_claimed_message_is_deleted_with_its_claim_and_leaves_it(q: Subject) -> None:
    a, b = q.post(b"a", b"b")
    claim = q.take()
    q.delete(a, claim.id)
    assert ids(q.held(claim.id).messages) == [b]
    assert q.counts() == (0, 1)
    assert q.get(a) == []
    q.release(claim.id)
    assert q.claimable() == [b"b"]


def test_a_claimed_message_is_kept_when_another_live_claim_is_named(q: Subject) -> None:
    a, b = q.post(b"a", b"b")
    first = q.take(1)
    second = q.take(1)
    with pytest.raises(WrongClaim):
        q.delete(a, second.id)
    with pytest.raises(WrongClaim):
        q.delete(b, first.id)
    assert q.counts() == (0, 2)


def test_a_live_claim_is_another_live_claim_also_when_nothing_is_left_under_it(
    q: Subject,
) -> None:
    a, b = q.post(b"a", b"b")
    first = q.take(1)
    q.take(1)
    q.delete(a, first.id)
    with pytest.raises(WrongClaim):
        q.delete(b, first.id)


@pytest.mark.parametrize("claim_id", UNKNOWN)
def test_a_claimed_message_is_kept_when_an_unknown_claim_is_named(
    q: Subject, claim_id: str
) -> None:
    (id,) = q.post(b"a")
    q.take()
    with pytest.raises(ClaimExpired):
        q.delete(id, claim_id)
    assert q.counts() == (0, 1)


def test_a_claimed_message_is_kept_when_an_expired_claim_is_named(q: Subject) -> None:
    (id,) = q.post(b"a")
    old = q.take(ttl=60)
    q.clock.advance(60)
    q.take(ttl=60)
    with pytest.raises(ClaimExpired):
        q.delete(id, old.id)
    assert q.counts() == (0, 1)


def test_a_claimed_message_is_kept_when_a_released_claim_is_named(q: Subject) -> None:
    (id,) = q.post(b"a")
    old = q.take()
    q.release(old.id)
    with pytest.raises(ClaimExpired):
        q.delete(id, old.id)
    q.take()
    with pytest.raises(ClaimExpired):
        q.delete(id, old.id)
    assert q.counts() == (0, 1)


def test_a_claim_is_good_for_deleting_until_the_moment_it_expires(q: Subject) -> None:
    a, b = q.post(b"a", b"b")
    claim = q.take(ttl=60)
    q.clock.advance(60 - MOMENT)
    q.delete(a, claim.id)
    q.clock.advance(MOMENT)
    with pytest.raises(ClaimExpired):
        q.delete(b, claim.id)
    assert q.counts() == (1, 0)
    q.delete(b)
    assert q.counts() == (0, 0)


def test_a_message_of_an_expired_claim_is_deleted_without_one(q: Subject) -> None:
    (id,) = q.post(b"a")
    claim = q.take(ttl=60)
    q.clock.advance(60)
    q.delete(id)
    assert q.counts() == (0, 0)
    assert q.claim().claim is None
    with pytest.raises(ClaimNotFound):
        q.held(claim.id)


def test_a_deleted_message_stays_deleted(q: Subject) -> None:
    a, b, c, d = q.post(b"a", b"b", b"c", b"d")
    claim = q.take(2, ttl=60)
    q.delete(a, claim.id)
    q.delete_many(b, c)
    q.release(claim.id)
    q.clock.advance(60)
    assert q.claimable() == [b"d"]
    assert bodies(q.everything()) == [b"d"]
    assert q.get(a, b, c, d) == q.everything()


# Several


def test_several_are_deleted_claimed_or_not_and_missing_ones_do_not_matter(q: Subject) -> None:
    held, free, kept = q.post(b"held", b"free", b"kept")
    (late,) = q.post(b"late", delay=60)
    claim = q.take(1)
    q.delete_many(held, "absent", free, held, late)
    assert ids(q.everything()) == [kept]
    assert q.held(claim.id).messages == ()
    assert q.counts() == (1, 0)
    q.delete_many()
    q.delete_many("absent")
    assert q.counts() == (1, 0)


def test_several_are_deleted_when_all_are_under_the_claims_named(q: Subject) -> None:
    a, b, c = q.post(b"a", b"b", b"c")
    first, second = q.take(1), q.take(2)
    q.delete_many(b, a, "absent", claim_ids=[first.id, "absent", second.id])
    assert ids(q.everything()) == [c]
    assert ids(q.held(second.id).messages) == [c]


@pytest.mark.parametrize("order", [1, -1])
def test_none_is_deleted_when_one_is_under_none_of_the_claims_named(q: Subject, order: int) -> None:
    a, b, c = q.post(b"a", b"b", b"c")
    first, second = q.take(1), q.take(1)
    for wanted, named in [
        ([a, b], [first.id]),
        ([a, b], [second.id]),
        ([a, c], [first.id, second.id]),
        ([a], []),
        ([c], []),
        ([c], [first.id]),
        ([a, b], ["absent"]),
    ]:
        with pytest.raises(WrongClaim):
            q.delete_many(*wanted[::order], claim_ids=named)
    assert bodies(q.everything()) == [b"a", b"b", b"c"]
    assert q.counts() == (1, 2)


def test_an_expired_claim_is_good_for_deleting_none_of_several(q: Subject) -> None:
    a, b = q.post(b"a", b"b")
    old = q.take(1, ttl=60)
    live = q.take(1, ttl=600)
    q.clock.advance(60)
    with pytest.raises(WrongClaim):
        q.delete_many(a, b, claim_ids=[old.id, live.id])
    assert q.counts() == (1, 1)


def test_missing_ones_of_several_need_no_claim(q: Subject) -> None:
    (id,) = q.post(b"a", ttl=60)
    q.clock.advance(60)
    q.delete_many(id, "absent", claim_ids=[])
    q.delete_many(id, "absent", claim_ids=["absent"])


def test_hundreds_are_deleted_in_one_step(q: Subject) -> None:
    posted = q.post_number(1200)
    q.delete_many(*posted[:1100])
    assert tuple(ids(q.everything())) == posted[1100:]


# Pop


def test_pop_takes_the_oldest_free_messages_for_good(q: Subject) -> None:
    q.post(b"held")
    q.post(b"late", delay=60)
    q.post(b"a", b"b", b"c")
    q.take(1)
    before = q.page()
    assert q.pop(2) == before[:2]
    assert q.pop(2) == before[2:]
    assert q.pop(2) == []
    assert bodies(q.everything()) == [b"held", b"late"]
    assert q.counts() == (1, 1)


def test_pop_takes_what_a_released_and_an_expired_claim_left_at_its_old_place(q: Subject) -> None:
    q.post(b"a", b"b", b"c")
    released, _ = q.take(1), q.take(1, ttl=60)
    q.release(released.id)
    q.clock.advance(60)
    assert bodies(q.pop(3)) == [b"a", b"b", b"c"]


def test_a_popped_message_shows_how_often_it_was_claimed_and_no_claim(q: Subject) -> None:
    q.post(b"a")
    q.release(q.take().id)
    (popped,) = q.pop()
    assert popped.claim_id is None
    assert popped.claim_count == 0


def test_pop_leaves_claims_as_they_are(q: Subject) -> None:
    q.post(b"a", b"b")
    claim = q.take(1)
    q.pop(5)
    assert q.held(claim.id) == claim


# Purge


def test_purge_removes_every_message_whatever_its_state(q: Subject) -> None:
    gone = q.post(b"held", b"free") + q.post(b"late", delay=60)
    q.take(1)
    q.purge()
    assert q.everything() == []
    assert q.get(*gone) == []
    assert q.counts() == (0, 0)
    assert q.claim().claim is None
    q.clock.advance(600)
    assert q.everything() == []
    assert q.claim().claim is None


def test_purge_keeps_the_queue_and_its_metadata(q: Subject) -> None:
    q.create(b'{"a":1}')
    before = q.metadata
    q.purge()
    assert q.metadata == before


def test_purge_keeps_claims_empty(q: Subject) -> None:
    q.post(b"a")
    claim = q.take()
    q.purge()
    (new,) = q.post(b"new")
    assert q.held(claim.id) == claim._replace(messages=())
    q.renew(claim.id, ttl=600)
    assert q.held(claim.id).ttl == 600
    with pytest.raises(ClaimExpired):
        q.delete(new, claim.id)
    q.release(claim.id)
    with pytest.raises(ClaimNotFound):
        q.held(claim.id)
    assert q.claimable() == [b"new"]


def test_thousands_are_purged_in_one_step(q: Subject) -> None:
    q.post_number(1500)
    q.post_number(1500, delay=60)
    q.take(700)
    q.purge()
    assert q.counts() == (0, 0)
    q.post(b"new")
    q.clock.advance(300)
    assert bodies(q.everything()) == [b"new"]
