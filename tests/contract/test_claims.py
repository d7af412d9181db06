"""Claims: who gets what, for how long, and where it goes afterwards."""

from __future__ import annotations

import pytest

from queueing.core.errors import ClaimExpired, ClaimNotFound
from queueing.core.models import Claim, Claimed, DeadLetterRule, request_token
from tests.contract.subject import MOMENT, Subject, bodies, ids

RULE = DeadLetterRule("dead", max_claims=2)

# Taking


def test_a_claim_takes_the_oldest_free_messages_in_order_up_to_its_limit(q: Subject) -> None:
    q.post_number(5)
    assert bodies(q.take(2).messages) == [b"0", b"1"]
    assert bodies(q.take(2).messages) == [b"2", b"3"]
    assert bodies(q.take(2).messages) == [b"4"]
    assert q.claim(2) == Claimed(None, ())


def test_a_claim_is_named_by_its_token_and_tells_all_about_itself(q: Subject) -> None:
    q.post(b"a", b"b")
    q.clock.advance(MOMENT)
    token = request_token()
    free = q.page()
    claimed = q.claim(ttl=120, token=token)
    assert claimed == Claimed(
        Claim(
            id=token,
            fence=int(q.now * 1_000_000),
            ttl=120,
            claimed_at=q.now,
            messages=tuple(message._replace(claim_id=token) for message in free),
        ),
        (),
    )


def test_a_message_under_a_live_claim_is_not_served_again(q: Subject) -> None:
    q.post(b"a")
    q.take(ttl=60)
    q.clock.advance(60 - MOMENT)
    assert q.claim().claim is None
    assert q.pop() == []
    assert q.page() == []
    assert q.counts() == (0, 1)


def test_nothing_claimed_makes_no_claim(q: Subject) -> None:
    q.create()
    token = request_token()
    assert q.claim(token=token) == Claimed(None, ())
    with pytest.raises(ClaimNotFound):
        q.held(token)


def test_fences_are_the_time_in_microseconds_or_the_next_number(q: Subject) -> None:
    q.post_number(5)
    start = int(q.now * 1_000_000)
    assert q.take(1).fence == start
    assert q.take(1).fence == start + 1
    q.clock.advance(1)
    assert q.take(1).fence == start + 1_000_000
    q.clock.advance(-1)
    assert q.take(1).fence == start + 1_000_001
    q.clock.advance(2)
    assert q.take(1).fence == start + 2_000_000


def test_a_later_claim_on_the_same_message_has_a_greater_fence(q: Subject) -> None:
    q.post(b"a")
    fences = []
    for _ in range(3):
        claim = q.take()
        fences.append(claim.fence)
        q.release(claim.id)
    fences.append(q.take(ttl=60).fence)
    q.clock.advance(60)
    fences.append(q.take().fence)
    assert fences == sorted(set(fences))


def test_claims_live_side_by_side(q: Subject) -> None:
    q.post_number(30)
    claims = [q.take(3) for _ in range(10)]
    taken = [message.id for claim in claims for message in claim.messages]
    assert len(taken) == len(set(taken)) == 30
    for claim in claims:
        assert q.held(claim.id) == claim
    q.release(claims[4].id)
    assert q.claimable() == [b"12", b"13", b"14"]
    assert q.held(claims[5].id) == claims[5]


def test_a_claim_takes_a_thousand_in_one_step(q: Subject) -> None:
    q.post_number(1500)
    claim = q.take(1200)
    assert bodies(claim.messages) == [b"%d" % number for number in range(1200)]
    assert q.held(claim.id) == claim
    assert q.counts() == (300, 1200)
    q.release(claim.id)
    assert q.counts() == (1500, 0)
    assert len(q.claimable()) == 1500


def test_posting_goes_on_behind_what_is_claimed(q: Subject) -> None:
    q.post(b"a")
    q.take()
    q.post(b"b")
    assert q.claimable() == [b"b"]
    assert bodies(q.page(claimed=True)) == [b"a", b"b"]


# Looking


def test_a_claim_is_looked_up_with_what_is_still_under_it(q: Subject) -> None:
    a, b, c = q.post(b"a", b"b", b"c")
    claim = q.take()
    q.clock.advance(10)
    assert q.held(claim.id) == claim
    q.delete(b, claim.id)
    assert ids(q.held(claim.id).messages) == [a, c]
    q.delete(a, claim.id)
    q.delete(c, claim.id)
    assert q.held(claim.id) == claim._replace(messages=())


def test_an_emptied_claim_lives_on_until_it_expires(q: Subject) -> None:
    (id,) = q.post(b"a")
    claim = q.take(ttl=60)
    q.delete(id, claim.id)
    q.clock.advance(60 - MOMENT)
    assert q.held(claim.id).messages == ()
    q.clock.advance(MOMENT)
    with pytest.raises(ClaimNotFound):
        q.held(claim.id)


@pytest.mark.parametrize("id", ["", "absent", "0" * 32, "\u00e9", "x" * 1000])
def test_an_unknown_claim_is_not_found(q: Subject, id: str) -> None:
    q.post(b"a")
    with pytest.raises(ClaimNotFound):
        q.held(id)
    with pytest.raises(ClaimNotFound):
        q.renew(id)
    q.release(id)
    assert q.counts() == (1, 0)


# The end of a claim


def test_a_claim_exists_until_the_moment_it_expires(q: Subject) -> None:
    q.post(b"a")
    claim = q.take(ttl=60)
    q.clock.advance(60 - MOMENT)
    assert q.held(claim.id) == claim
    q.clock.advance(MOMENT)
    with pytest.raises(ClaimNotFound):
        q.held(claim.id)
    with pytest.raises(ClaimNotFound):
        q.renew(claim.id)
    q.release(claim.id)
    assert q.counts() == (1, 0)


def test_messages_of_an_expired_claim_are_free_at_their_old_places(q: Subject) -> None:
    q.post_number(6)
    q.take(2, ttl=60)
    q.take(2, ttl=120)
    q.clock.advance(60)
    assert bodies(q.page()) == [b"0", b"1", b"4", b"5"]
    assert q.claimable() == [b"0", b"1", b"4", b"5"]
    q.clock.advance(60)
    assert q.claimable() == [b"0", b"1", b"2", b"3", b"4", b"5"]


def test_messages_of_a_released_claim_are_free_at_once_at_their_old_places(q: Subject) -> None:
    q.post_number(5)
    first, second = q.take(2), q.take(2)
    q.release(first.id)
    assert q.claimable() == [b"0", b"1", b"4"]
    with pytest.raises(ClaimNotFound):
        q.held(first.id)
    q.release(second.id)
    assert bodies(q.page()) == [b"0", b"1", b"2", b"3", b"4"]
    assert q.claimable() == [b"0", b"1", b"2", b"3", b"4"]


def test_releasing_twice_does_not_matter(q: Subject) -> None:
    q.post(b"a")
    old = q.take()
    q.release(old.id)
    live = q.take()
    q.release(old.id)
    assert q.held(live.id) == live


def test_an_expired_claim_ends_nothing_of_its_successor(q: Subject) -> None:
    (id,) = q.post(b"a")
    old = q.take(ttl=60)
    q.clock.advance(60)
    live = q.take(ttl=60)
    q.release(old.id)
    with pytest.raises(ClaimNotFound):
        q.renew(old.id)
    with pytest.raises(ClaimExpired):
        q.delete(id, old.id)
    assert q.held(live.id) == live
    assert q.counts() == (0, 1)


def test_a_message_is_served_again_and_again_until_it_is_deleted(q: Subject) -> None:
    (id,) = q.post(b"a", ttl=6000)
    for _ in range(5):
        claim = q.take(ttl=60)
        assert ids(claim.messages) == [id]
        q.clock.advance(60)
    q.delete(id, q.take().id)
    assert q.claim().claim is None


# Counting


def test_a_claim_without_a_rule_leaves_the_count(q: Subject) -> None:
    q.post(b"a")
    assert q.take().messages[0].claim_count == 0
    q.clock.advance(300)
    assert q.take().messages[0].claim_count == 0


def test_a_claim_under_a_rule_counts_and_nothing_else_does(q: Subject) -> None:
    (id,) = q.post(b"a")
    claim = q.take(rule=RULE)
    assert claim.messages[0].claim_count == 1
    q.renew(claim.id)
    assert q.held(claim.id).messages[0].claim_count == 1
    q.release(claim.id)
    assert q.get(id)[0].claim_count == 1
    q.take(rule=RULE, ttl=60)
    q.clock.advance(60)
    assert q.get(id)[0].claim_count == 2
    assert q.take().messages[0].claim_count == 2


# Lifetimes


def test_a_message_that_would_expire_first_lives_until_the_claims_end_and_grace(
    q: Subject,
) -> None:
    """The example of the specification: ttl 60, claimed after 10 s for 300 s with 100 s of grace."""
    posted_at = q.now
    (id,) = q.post(b"a", ttl=60)
    q.clock.advance(10)
    claim = q.take(ttl=300, grace=100)
    (message,) = claim.messages
    assert message.ttl == 400
    assert message.expires_at == posted_at + 410
    assert message.posted_at == posted_at
    assert q.get(id) == [message]
    assert q.held(claim.id).messages == (message,)
    q.clock.advance(300 - MOMENT)
    assert q.get(id) == [message]
    q.clock.advance(MOMENT)
    assert q.get(id) == [message._replace(claim_id=None)]
    q.clock.advance(100 - MOMENT)
    assert q.claimable() == [b"a"]


def test_an_extended_message_expires_in_the_end(q: Subject) -> None:
    (id,) = q.post(b"a", ttl=60)
    q.clock.advance(10)
    q.take(ttl=300, grace=100)
    q.clock.advance(400 - MOMENT)
    assert q.counts() == (1, 0)
    q.clock.advance(MOMENT)
    assert q.get(id) == []
    assert q.counts() == (0, 0)
    assert q.claim().claim is None


def test_a_message_that_outlives_the_claim_keeps_its_lifetime(q: Subject) -> None:
    """The other example: ttl 100, claimed after 35 s for 60 s."""
    q.post(b"a", ttl=100)
    before = q.page()[0]
    q.clock.advance(35)
    claim = q.take(ttl=60, grace=60)
    assert claim.messages == (before._replace(claim_id=claim.id),)
    q.clock.advance(65)
    assert q.everything() == []


def test_a_message_that_ends_with_the_claim_keeps_its_lifetime(q: Subject) -> None:
    q.post(b"a", ttl=100)
    q.clock.advance(40)
    (message,) = q.take(ttl=60, grace=60).messages
    assert message.ttl == 100
    assert message.expires_at == q.now + 60


def test_each_message_of_a_claim_is_extended_or_not_for_itself(q: Subject) -> None:
    q.post(b"short", ttl=60)
    q.post(b"long", ttl=600)
    q.post(b"shorter", ttl=61)
    claim = q.take(ttl=300, grace=100)
    assert [message.ttl for message in claim.messages] == [400, 600, 400]
    assert q.held(claim.id) == claim


def test_an_extension_is_final(q: Subject) -> None:
    (id,) = q.post(b"a", ttl=60)
    claim = q.take(ttl=300, grace=100)
    q.release(claim.id)
    q.clock.advance(399)
    assert q.get(id)[0].ttl == 400
    assert q.claimable() == [b"a"]


def test_an_extended_message_is_not_free_before_its_claim_ends(q: Subject) -> None:
    q.post(b"a", ttl=60)
    q.take(ttl=300, grace=100)
    q.clock.advance(60)
    assert q.counts() == (0, 1)
    assert q.claim().claim is None


# Renewing


def test_renewing_starts_the_claims_time_again(q: Subject) -> None:
    q.post(b"a")
    claim = q.take(ttl=60)
    q.clock.advance(59)
    q.renew(claim.id, ttl=120)
    assert q.held(claim.id) == claim._replace(ttl=120, claimed_at=q.now)
    q.clock.advance(120 - MOMENT)
    assert q.claim().claim is None
    q.clock.advance(MOMENT)
    with pytest.raises(ClaimNotFound):
        q.held(claim.id)
    assert q.claimable() == [b"a"]


def test_renewing_may_shorten_a_claim(q: Subject) -> None:
    q.post(b"a")
    claim = q.take(ttl=600)
    q.renew(claim.id, ttl=60)
    q.clock.advance(60)
    with pytest.raises(ClaimNotFound):
        q.held(claim.id)
    assert q.claimable() == [b"a"]


def test_renewing_extends_lifetimes_as_claiming_does(q: Subject) -> None:
    q.post(b"short", ttl=120)
    q.post(b"long", ttl=3600)
    claim = q.take(ttl=60)
    assert [message.ttl for message in claim.messages] == [120, 3600]
    q.clock.advance(30)
    q.renew(claim.id, ttl=300, grace=100)
    short, long = q.held(claim.id).messages
    assert (short.ttl, short.expires_at) == (400, q.now + 400)
    assert (long.ttl, long.expires_at) == (3600, q.now - 30 + 3600)
    q.clock.advance(399)
    assert bodies(q.page()) == [b"short", b"long"]
    q.clock.advance(1)
    assert bodies(q.page()) == [b"long"]


def test_renewing_leaves_what_left_the_claim(q: Subject) -> None:
    a, b = q.post(b"a", b"b", ttl=90)
    claim = q.take(ttl=60)
    q.delete(a, claim.id)
    q.renew(claim.id, ttl=300)
    assert ids(q.everything()) == [b]
    assert ids(q.held(claim.id).messages) == [b]


def test_renewing_takes_no_further_messages(q: Subject) -> None:
    q.post(b"a", b"b")
    claim = q.take(1)
    q.renew(claim.id)
    assert bodies(q.held(claim.id).messages) == [b"a"]
    assert q.counts() == (1, 1)


def test_renewing_an_emptied_claim_keeps_it_alive(q: Subject) -> None:
    (id,) = q.post(b"a")
    claim = q.take(ttl=60)
    q.delete(id, claim.id)
    q.renew(claim.id, ttl=600)
    q.clock.advance(599)
    assert q.held(claim.id).messages == ()
