"""Idempotency keys: a post is done once per key, whatever became of its messages."""

from __future__ import annotations

import pytest

from queueing.core.errors import IdempotencyKeyReused, StaleSettings
from queueing.core.models import Draft, IdempotencyKey, Metadata, Posted, request_token
from tests.contract.subject import MOMENT, TTL, Subject, bodies

DAY = 86_400
DIGEST, OTHER = b"\x00\xff" * 16, b"\x01" * 32
DRAFTS = [Draft(b"a", TTL), Draft(b"b", TTL)]


@pytest.fixture
def key(q: Subject) -> IdempotencyKey:
    return IdempotencyKey("key", DIGEST, q.now + DAY)


def test_the_first_post_with_a_key_is_done_as_any_other(q: Subject, key: IdempotencyKey) -> None:
    posted = q.post_drafts(DRAFTS, key=key)
    assert posted.replayed is False
    assert bodies(q.page()) == [b"a", b"b"]


def test_a_repeat_posts_nothing_and_gets_the_first_answer(q: Subject, key: IdempotencyKey) -> None:
    first = q.post_drafts(DRAFTS, key=key)
    q.clock.advance(10)
    repeat = q.post_drafts(DRAFTS, key=key._replace(expires_at=q.now + DAY))
    assert repeat == Posted(first.ids, replayed=True)
    assert q.counts() == (2, 0)


def test_a_repeat_is_known_by_its_key_and_not_by_its_drafts_or_client(
    q: Subject, key: IdempotencyKey
) -> None:
    first = q.post_drafts(DRAFTS, key=key, client="one")
    repeat = q.post_drafts([Draft(b"c", 60)], key=key, client="two")
    assert repeat == Posted(first.ids, replayed=True)
    assert bodies(q.everything()) == [b"a", b"b"]


def test_a_repeat_gets_all_ids_of_a_big_batch(q: Subject, key: IdempotencyKey) -> None:
    drafts = [Draft(b"%d" % number, TTL) for number in range(1500)]
    first = q.post_drafts(drafts, key=key)
    assert q.post_drafts(drafts, key=key) == Posted(first.ids, replayed=True)
    assert q.counts() == (1500, 0)


@pytest.mark.parametrize("end", ["delete", "pop", "purge", "expiry", "queue", "claim and delete"])
def test_a_repeat_posts_nothing_when_the_messages_are_gone(
    q: Subject, key: IdempotencyKey, end: str
) -> None:
    first = q.post_drafts(DRAFTS, key=key)
    if end == "delete":
        q.delete_many(*first.ids)
    elif end == "pop":
        q.pop(2)
    elif end == "purge":
        q.purge()
    elif end == "expiry":
        q.clock.advance(TTL)
    elif end == "queue":
        q.drop()
    else:
        q.delete_many(*first.ids, claim_ids=[q.take().id])
    assert q.post_drafts(DRAFTS, key=key) == Posted(first.ids, replayed=True)
    assert q.everything() == []


def test_a_replay_does_not_make_a_queue_that_was_deleted(q: Subject, key: IdempotencyKey) -> None:
    q.post_drafts(DRAFTS, key=key)
    q.drop()
    q.post_drafts(DRAFTS, key=key)
    assert not q.exists()


def test_a_key_survives_the_deletion_and_remaking_of_its_queue(
    q: Subject, key: IdempotencyKey
) -> None:
    first = q.post_drafts(DRAFTS, key=key)
    q.drop()
    q.create()
    assert q.post_drafts(DRAFTS, key=key) == Posted(first.ids, replayed=True)
    assert q.everything() == []


def test_a_key_with_another_body_is_refused_and_posts_nothing(
    q: Subject, key: IdempotencyKey
) -> None:
    first = q.post_drafts(DRAFTS, key=key)
    with pytest.raises(IdempotencyKeyReused):
        q.post_drafts(DRAFTS, key=key._replace(digest=OTHER))
    assert q.counts() == (2, 0)
    assert q.post_drafts(DRAFTS, key=key) == Posted(first.ids, replayed=True)


def test_a_replay_does_not_ask_for_settings(q: Subject, key: IdempotencyKey) -> None:
    first = q.post_drafts(DRAFTS, key=key)
    q.replace(b'{"a":1}', expected="")
    assert q.post_drafts(DRAFTS, key=key) == Posted(first.ids, replayed=True)
    assert q.knowing("older").post_drafts(DRAFTS, key=key) == Posted(first.ids, replayed=True)
    with pytest.raises(IdempotencyKeyReused):
        q.knowing("older").post_drafts(DRAFTS, key=key._replace(digest=OTHER))


def test_a_refused_post_leaves_no_key_behind(q: Subject, key: IdempotencyKey) -> None:
    q.create(b'{"a":1}')
    with pytest.raises(StaleSettings):
        q.post_drafts(DRAFTS, key=key)
    knowing = q.knowing(Metadata.of(b'{"a":1}').version)
    assert knowing.post_drafts(DRAFTS, key=key._replace(digest=OTHER)).replayed is False
    assert q.counts() == (2, 0)


def test_a_key_is_remembered_until_the_moment_it_expires(q: Subject, key: IdempotencyKey) -> None:
    first = q.post_drafts(DRAFTS, key=key)
    q.purge()
    q.clock.advance(DAY - MOMENT)
    later = key._replace(digest=OTHER, expires_at=q.now + 2 * DAY)
    with pytest.raises(IdempotencyKeyReused):
        q.post_drafts(DRAFTS, key=later)
    assert q.post_drafts(DRAFTS, key=key) == Posted(first.ids, replayed=True)
    q.clock.advance(MOMENT)
    second = q.post_drafts(DRAFTS, key=later)
    assert second.replayed is False
    assert second.ids != first.ids
    assert q.counts() == (2, 0)
    q.clock.advance(DAY)
    assert q.post_drafts(DRAFTS, key=later) == Posted(second.ids, replayed=True)


def test_a_repeat_does_not_prolong_a_key(q: Subject, key: IdempotencyKey) -> None:
    q.post_drafts(DRAFTS, key=key)
    q.clock.advance(DAY / 2)
    q.post_drafts(DRAFTS, key=key._replace(expires_at=q.now + DAY))
    q.clock.advance(DAY / 2)
    assert q.post_drafts(DRAFTS, key=key._replace(expires_at=q.now + DAY)).replayed is False


@pytest.mark.parametrize("name", ["a", "k" * 255, "!~{}/\\'\"%", "a.b:c", "KEY"])
def test_a_key_is_any_visible_text_and_each_is_its_own(
    q: Subject, key: IdempotencyKey, name: str
) -> None:
    q.post_drafts(DRAFTS, key=key)
    first = q.post_drafts(DRAFTS, key=key._replace(key=name))
    assert first.replayed is False
    assert q.post_drafts(DRAFTS, key=key._replace(key=name)) == Posted(first.ids, replayed=True)
    assert q.counts() == (4, 0)


def test_posts_without_a_key_are_never_replays(q: Subject, key: IdempotencyKey) -> None:
    q.post_drafts(DRAFTS, key=key)
    assert q.post_drafts(DRAFTS).replayed is False
    assert q.counts() == (4, 0)


def test_a_key_outlives_its_token(q: Subject, key: IdempotencyKey) -> None:
    token = request_token()
    first = q.post_drafts(DRAFTS, key=key, token=token)
    q.clock.advance(DAY / 2)
    assert q.post_drafts(DRAFTS, key=key, token=request_token()).ids == first.ids
