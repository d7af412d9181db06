"""A verb done again with its token answers as at first and changes nothing.

Asked of the drivers that may send a step twice (`Storage.resends`). The repeat comes within
`RETRY_SECONDS`, and by then others may have done what they like with what the step had made.
A step that found nothing to do (a claim or a pop of an empty queue) may find something when it is
done again: nobody can tell that from its having come later.
"""

from __future__ import annotations

import pytest

from queueing.core.errors import ClaimNotFound
from queueing.core.models import DeadLetterRule, Draft, IdempotencyKey, Metadata, request_token
from queueing.storage.contract import RETRY_SECONDS
from tests.contract.subject import TTL, Subject, bodies, ids

pytestmark = pytest.mark.resends

OLD, NEW, NEWER = b'{"a":1}', b'{"a":2}', b'{"a":3}'
DRAFTS = [Draft(b"a", TTL), Draft(b"b", TTL), Draft(b"c", TTL)]
ENDS = ["nothing", "delete", "delete first", "claim", "claim and delete", "pop", "purge", "drop"]


def end(q: Subject, ids: tuple[str, ...], how: str) -> None:
    """What others may do with messages between a step and its repeat."""
    if how == "delete":
        q.delete_many(*ids)
    elif how == "delete first":
        q.delete_many(ids[0])
    elif how == "claim":
        q.take(1)
    elif how == "claim and delete":
        q.delete_many(*ids, claim_ids=[q.take(len(ids)).id])
    elif how == "pop":
        q.pop(len(ids))
    elif how == "purge":
        q.purge()
    elif how == "drop":
        q.drop()


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("later", [0, RETRY_SECONDS - 1])
def test_a_post_is_done_once(q: Subject, how: str, later: int) -> None:
    token = request_token()
    posted = q.post_drafts(DRAFTS, token=token)
    end(q, posted.ids, how)
    q.clock.advance(later)
    before = (q.everything(), q.stats(), q.exists())
    assert q.post_drafts(DRAFTS, token=token) == posted
    assert (q.everything(), q.stats(), q.exists()) == before


def test_a_post_of_thousands_is_done_once(q: Subject) -> None:
    token = request_token()
    drafts = [Draft(b"%d" % number, TTL) for number in range(1500)]
    posted = q.post_drafts(drafts, token=token)
    assert q.post_drafts(drafts, token=token) == posted
    q.pop(700)
    assert q.post_drafts(drafts, token=token) == posted
    assert q.counts() == (800, 0)


def test_a_post_of_delayed_messages_is_done_once(q: Subject) -> None:
    token = request_token()
    drafts = [Draft(b"a", TTL, 10), Draft(b"b", TTL, 20)]
    posted = q.post_drafts(drafts, token=token)
    q.clock.advance(15)
    q.pop()
    assert q.post_drafts(drafts, token=token) == posted
    assert bodies(q.everything()) == [b"b"]


def test_the_repeat_of_a_post_is_no_replay_of_its_key(q: Subject) -> None:
    token = request_token()
    key = IdempotencyKey("key", b"d" * 32, q.now + 600)
    posted = q.post_drafts(DRAFTS, token=token, key=key)
    assert posted.replayed is False
    assert q.post_drafts(DRAFTS, token=token, key=key) == posted
    assert q.counts() == (3, 0)


def test_a_post_is_done_once_though_the_settings_changed_meanwhile(q: Subject) -> None:
    token = request_token()
    posted = q.post_drafts(DRAFTS, token=token)
    q.replace(NEW, expected="")
    assert q.post_drafts(DRAFTS, token=token) == posted
    assert q.counts() == (3, 0)


def test_a_claim_is_done_once(q: Subject) -> None:
    q.post_number(5)
    token = request_token()
    claimed = q.claim(2, token=token)
    q.clock.advance(1)
    assert q.claim(2, token=token) == claimed
    assert q.counts() == (3, 2)


def test_a_claim_under_a_rule_counts_once(q: Subject) -> None:
    rule = DeadLetterRule("dead", max_claims=2)
    q.post(b"a")
    token = request_token()
    claimed = q.claim(rule=rule, token=token)
    assert q.claim(rule=rule, token=token) == claimed
    assert q.everything()[0].claim_count == 1


def test_a_claim_buries_once(q: Subject) -> None:
    rule = DeadLetterRule("dead", max_claims=1)
    q.post(b"a", b"b")
    q.release(q.take(1, rule=rule).id)
    token = request_token()
    claimed = q.claim(1, rule=rule, token=token)
    assert claimed.claim and bodies(claimed.claim.messages) == [b"b"]
    assert q.claim(1, rule=rule, token=token) == claimed
    assert len(q.pile()) == 1


def test_a_claim_that_only_buried_buries_once(q: Subject) -> None:
    rule = DeadLetterRule("dead", max_claims=1)
    q.post(b"a", b"b")
    q.release(q.take(2, rule=rule).id)
    token = request_token()
    claimed = q.claim(rule=rule, token=token)
    assert claimed.claim is None
    assert q.claim(rule=rule, token=token) == claimed
    assert len(q.pile()) == 2


@pytest.mark.parametrize("how", ["delete", "delete first", "purge", "drop"])
def test_a_claim_takes_nothing_more_when_its_messages_are_gone(q: Subject, how: str) -> None:
    token = request_token()
    q.post(b"a", b"b")
    first = q.claim(2, token=token).claim
    assert first
    end(q, tuple(ids(first.messages)), how)
    q.post(b"c", b"d")
    again = q.claim(2, token=token).claim
    assert again is None or (again.id, again.fence) == (first.id, first.fence)
    assert again is None or set(bodies(again.messages)) <= {b"a", b"b"}
    assert bodies(q.page()) == [b"c", b"d"]


@pytest.mark.parametrize("how", ["release", "expiry"])
def test_a_claim_that_is_over_is_not_taken_again(q: Subject, how: str) -> None:
    token = request_token()
    q.post(b"a")
    q.claim(token=token, ttl=RETRY_SECONDS // 2)
    if how == "release":
        q.release(token)
    else:
        q.clock.advance(RETRY_SECONDS // 2)
    q.claim(token=token, ttl=RETRY_SECONDS // 2)
    with pytest.raises(ClaimNotFound):
        q.held(token)
    assert q.counts() == (1, 0)


def test_a_claim_is_done_once_though_the_settings_changed_meanwhile(q: Subject) -> None:
    q.post(b"a", b"b")
    token = request_token()
    claimed = q.claim(1, token=token)
    q.replace(NEW, expected="")
    assert q.claim(1, token=token) == claimed
    assert q.counts() == (1, 1)


def test_a_pop_is_done_once_and_answers_with_the_messages_again(q: Subject) -> None:
    q.post(b"a\x00", b"b", b"c", client="c1")
    token = request_token()
    popped = q.pop(2, token=token)
    q.clock.advance(RETRY_SECONDS - 1)
    assert q.pop(2, token=token) == popped
    assert bodies(popped) == [b"a\x00", b"b"]
    assert bodies(q.everything()) == [b"c"]
    assert q.counts() == (1, 0)


@pytest.mark.parametrize("how", ["purge", "drop"])
def test_a_pop_answers_again_though_the_queue_was_emptied_meanwhile(q: Subject, how: str) -> None:
    q.post(b"a", b"b", b"c")
    token = request_token()
    popped = q.pop(2, token=token)
    end(q, (), how)
    q.post(b"d")
    assert q.pop(2, token=token) == popped
    assert bodies(q.everything()) == [b"d"]


def test_a_queue_is_created_once(q: Subject) -> None:
    token = request_token()
    assert q.create(OLD, token=token) is True
    assert q.create(OLD, token=token) is True
    assert q.create(OLD, token=request_token()) is False
    q.replace(NEW, expected=Metadata.of(OLD).version)
    assert q.create(OLD, token=token) is True
    assert q.metadata == Metadata.of(NEW)


def test_metadata_is_replaced_once(q: Subject) -> None:
    q.create(OLD)
    token = request_token()
    q.replace(NEW, expected=Metadata.of(OLD).version, token=token)
    q.replace(NEW, expected=Metadata.of(OLD).version, token=token)
    assert q.metadata == Metadata.of(NEW)
    q.replace(NEWER, expected=Metadata.of(NEW).version)
    q.replace(NEW, expected=Metadata.of(OLD).version, token=token)
    assert q.metadata == Metadata.of(NEWER)


def test_tokens_of_one_queue_mean_nothing_in_another(q: Subject) -> None:
    other = q.sibling("other")
    token = request_token()
    q.post(b"a", b"b", token=token)
    other.post(b"c", token=token)
    assert bodies(other.page()) == [b"c"]
    claim, pop = request_token(), request_token()
    q.claim(1, token=claim)
    assert bodies(other.take(token=claim).messages) == [b"c"]
    q.pop(token=pop)
    other.release(claim)
    assert bodies(other.pop(token=pop)) == [b"c"]
