"""Posting: sizes, defaults, settings that change meanwhile, idempotency keys, checksums."""

from __future__ import annotations

import hashlib
import json

import pytest

from queueing.core.errors import (
    API,
    IdempotencyKeyReused,
    InvalidRequest,
    OverLimit,
    StorageUnavailable,
)
from queueing.service.bodies import checksum
from queueing.service.settings import ATTEMPTS
from tests.service.conftest import CLIENT, Posting, bodies, raw
from tests.service.interposed import unavailable


def keyed(node, queue, body=b"1", key="order-7"):
    return node.messages.post(
        queue, [Posting(body)], body=body, client_id=CLIENT, idempotency_key=key
    )


def test_post_is_one_step_of_the_store(node, queue):
    node.post(queue, b"1")
    assert node.steps == ["messages.post"]


def test_post_to_a_queue_with_settings_is_one_step_once_they_are_known(node, queue):
    node.configure(queue, _default_message_ttl=600)
    node.steps.clear()
    node.post(queue, b"1")
    assert node.steps == ["messages.post", "messages.post"]
    node.steps.clear()
    node.post(queue, b"2")
    assert node.steps == ["messages.post"]


def test_messages_keep_their_order_and_their_ids(node, queue):
    ids = node.post(queue, b"1", b"2", b"3")
    assert [(message.id, message.body) for message in node.all(queue)] == list(
        zip(ids, [b"1", b"2", b"3"], strict=True)
    )


def test_body_comes_back_as_the_text_that_was_posted(node, queue):
    texts = [
        b"1e400",
        b"0.10000000000000000001",
        b'{"a":1,"a":2}',
        b'"\xc3\xa9"',
        b"[ 1 ]",
        b"null",
    ]
    node.messages.post(queue, [Posting(raw(text)) for text in texts], body=b"", client_id=CLIENT)
    assert node.bodies(queue) == texts


def test_message_that_says_nothing_has_the_configured_lifetime(open_node, queue):
    node = open_node(default_message_ttl=600)
    node.post(queue, b"1")
    node.post(queue, b"2", ttl=60)
    assert [message.ttl for message in node.all(queue)] == [600, 60]


def test_message_that_says_nothing_has_the_queues_lifetime_and_delay(node, queue):
    node.configure(queue, _default_message_ttl=600, _default_message_delay=30)
    node.post(queue, b"waits")
    node.post(queue, b"does not", delay=0)
    assert [message.ttl for message in node.all(queue)] == [600, 600]
    assert bodies(node.claim(queue).messages) == [b"does not"]
    node.clock.advance(30)
    assert bodies(node.claim(queue).messages) == [b"waits"]


def test_settings_changed_by_another_node_hold_for_the_next_post(node, other, queue):
    node.configure(queue, _default_message_ttl=600)
    node.post(queue, b"1")
    other.configure(queue, _default_message_ttl=700)
    node.post(queue, b"2")
    other.configure(queue)
    node.post(queue, b"3")
    assert [message.ttl for message in node.all(queue)] == [600, 700, 3600]


def test_settings_changed_between_looking_and_posting_hold_for_the_post(node, other, queue):
    node.configure(queue, _default_message_ttl=600)
    node.post(queue, b"1")
    node.store.before(
        "messages.post",
        lambda: other.configure(queue, _default_message_ttl=700),
        lambda: other.configure(queue, _default_message_ttl=800),
    )
    node.post(queue, b"2")
    assert [message.ttl for message in node.all(queue)] == [600, 800]


def test_settings_of_a_queue_deleted_and_made_anew_are_not_those_it_had(node, other, queue):
    node.configure(queue, _default_message_ttl=600)
    node.post(queue, b"1")
    other.queues.delete(queue)
    node.post(queue, b"2")
    other.queues.delete(queue)
    other.configure(queue, _default_message_ttl=700)
    node.post(queue, b"3")
    assert [(message.body, message.ttl) for message in node.all(queue)] == [(b"3", 700)]


def test_settings_that_change_with_every_attempt_end_the_post_as_unavailable(node, other, queue):
    changes = iter(range(60, 1000))
    change = lambda: other.configure(queue, _default_message_ttl=next(changes))  # noqa: E731
    node.store.before("messages.post", *[change] * ATTEMPTS)
    with pytest.raises(StorageUnavailable, match="changed 10 times"):
        node.post(queue, b"1")
    assert not node.bodies(queue)


def test_body_longer_than_configured_is_refused(open_node, queue):
    node = open_node(max_messages_post_size=10)
    node.post(queue, b"1" * 10)
    with pytest.raises(OverLimit, match=r"may not exceed 10 bytes. Got 11 bytes\.") as refusal:
        node.post(queue, b"1" * 11)
    assert refusal.value.title == API
    assert len(node.bodies(queue)) == 1


def test_body_longer_than_the_queue_takes_is_refused_by_a_node_that_never_saw_it(
    node, other, queue
):
    other.configure(queue, _max_messages_post_size=10)
    with pytest.raises(OverLimit, match=r"may not exceed 10 bytes. Got 11 bytes\."):
        node.post(queue, b"1" * 11)
    assert not node.bodies(queue)


def test_body_that_the_queue_takes_by_now_is_not_refused_by_old_settings(node, other, queue):
    node.configure(queue, _max_messages_post_size=10)
    node.post(queue, b"1")
    other.configure(queue, _max_messages_post_size=20)
    node.post(queue, b"1" * 20)
    other.configure(queue)
    node.post(queue, b"1" * 21)
    assert [len(body) for body in node.bodies(queue)] == [1, 20, 21]


def test_size_is_checked_before_content_whatever_the_node_knows(node, other, queue):
    node.post(queue, b"1")
    other.configure(queue, _max_messages_post_size=10)
    for postings in ([], [Posting(b"1", ttl=1)], [Posting(b"1", delay=-1)]):
        with pytest.raises(OverLimit, match="may not exceed 10 bytes"):
            node.messages.post(queue, postings, body=b"1" * 11, client_id=CLIENT)


def test_size_can_be_checked_alone(node, other, queue):
    other.configure(queue, _max_messages_post_size=10)
    node.messages.check_size(queue, 10)
    with pytest.raises(OverLimit, match="may not exceed 10 bytes"):
        node.messages.check_size(queue, 11)
    other.configure(queue)
    node.messages.check_size(queue, 11)


@pytest.mark.parametrize(
    ("postings", "said"),
    [
        ([], "messages must hold at least one message"),
        ([Posting(b"1", ttl=59)], r"messages\[0\].ttl must be at least 60"),
        ([Posting(b"1"), Posting(b"1", ttl=1209601)], r"messages\[1\].ttl .* Got 1209601"),
        ([Posting(b"1", delay=-1)], r"messages\[0\].delay must be at least 0"),
        ([Posting(b"1"), Posting(b"1", delay=901)], r"messages\[1\].delay .* Got 901"),
    ],
)
def test_refused_post_leaves_neither_message_nor_queue(node, queue, postings, said):
    with pytest.raises(InvalidRequest, match=said) as refusal:
        node.messages.post(queue, postings, body=b"1", client_id=CLIENT)
    assert refusal.value.title == API
    assert not node.queues.exists(queue)


def test_repeat_with_an_idempotency_key_gets_the_first_answer(node, other, queue):
    first = keyed(node, queue)
    again = keyed(other, queue)
    assert again.ids == first.ids
    assert (first.replayed, again.replayed) == (False, True)
    assert node.bodies(queue) == [b"1"]


def test_idempotency_key_is_not_good_for_another_body(node, queue):
    keyed(node, queue, b"1")
    with pytest.raises(IdempotencyKeyReused):
        keyed(node, queue, b"2")
    assert node.bodies(queue) == [b"1"]


def test_idempotency_key_is_remembered_for_the_configured_time(open_node, queue):
    node = open_node(idempotency_window_seconds=100)
    keyed(node, queue)
    node.clock.advance(99)
    assert keyed(node, queue).replayed
    node.clock.advance(1)
    assert not keyed(node, queue, b"2").replayed


def test_repeat_gets_its_answer_even_if_the_queue_takes_less_by_now(node, other, queue):
    first = keyed(node, queue, b"1" * 30)
    other.configure(queue, _max_messages_post_size=10)
    assert keyed(node, queue, b"1" * 30).ids == first.ids
    node.post(queue, b"1")  # knows the new settings now
    assert keyed(node, queue, b"1" * 30).ids == first.ids


def test_key_does_not_help_a_body_that_is_too_long(node, other, queue):
    other.configure(queue, _max_messages_post_size=10)
    node.post(queue, b"1")
    with pytest.raises(OverLimit, match="may not exceed 10 bytes"):
        keyed(node, queue, b"1" * 11)
    other.configure(queue)
    assert not keyed(node, queue, b"1" * 11).replayed


def test_post_whose_store_went_away_is_unavailable_and_its_repeat_with_the_key_posts_once(
    node, queue
):
    node.store.after("messages.post", unavailable)
    with pytest.raises(StorageUnavailable):
        keyed(node, queue)
    assert keyed(node, queue).replayed
    assert node.bodies(queue) == [b"1"]


@pytest.mark.parametrize(
    ("body", "digest"),
    [
        (b"1", "MD5:c4ca4238a0b923820dcc509a6f75849b"),
        (
            '{"a":1,"é":[1,2.5,null]}'.encode(),
            "MD5:b6813367dc82989fb0fa9713af660d3a",
        ),
    ],
)
def test_checksums_of_the_specification(body, digest):
    assert checksum(body) == digest


@pytest.mark.parametrize(
    ("body", "counts_as"),
    [
        (b"1e400", b"Infinity"),
        (b"0.10000000000000000001", b"0.1"),
        (b"1.0E2", b"100.0"),
        (b"-0", b"0"),
        (b'{"a":1,"b":2,"a":3}', b'{"a": 3, "b": 2}'),
        (b'"\\ud83d\\ude00"', b'"\\ud83d\\ude00"'),
        ('"\U0001f600"'.encode(), b'"\\ud83d\\ude00"'),
        (b'"\\u0000\\/"', b'"\\u0000/"'),
        (b"1" * 5000, b"1" * 5000),
        (b"[" * 5000 + b"]" * 5000, b"[" * 5000 + b"]" * 5000),
    ],
)
def test_every_body_has_a_checksum(body, counts_as):
    expected = hashlib.md5(counts_as, usedforsecurity=False).hexdigest()
    assert checksum(body) == f"MD5:{expected}"


def test_messages_carry_checksums_only_where_the_option_is_on(open_node, queue):
    open_node().post(queue, b"1")
    open_node(enable_checksum=True).post(queue, b"1")
    off, on = open_node().all(queue)
    assert off.checksum is None
    assert on.checksum == checksum(json.dumps(1).encode())
