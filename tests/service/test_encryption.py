"""Encrypted queues: plain to clients, sealed in the store."""

from __future__ import annotations

import pytest

from queueing.core.errors import KeyUnavailable
from queueing.service.bodies import checksum
from tests.service.conftest import CLIENT, Posting, bodies

SECRET = b'"attack at dawn"'


@pytest.fixture
def keyed(open_node):
    """A node that has the key."""
    return open_node(message_encryption_key="correct horse")


@pytest.fixture(params=[None, "battery staple"], ids=["without a key", "with another key"])
def keyless(request, open_node):
    """A node that does not have the key of what is stored."""
    return open_node(message_encryption_key=request.param)


@pytest.fixture
def sealed(keyed, queue):
    """An encrypted queue with one message; its id."""
    keyed.configure(queue, _enable_encrypt_messages=True)
    (id,) = keyed.post(queue, SECRET)
    return id


def test_bodies_are_sealed_in_the_store(keyed, queue, sealed):
    (stored,) = keyed.stored(queue)
    assert stored[0] == 0
    assert b"attack" not in stored


def test_every_answer_with_a_body_is_plain(keyed, queue, sealed):
    assert keyed.bodies(queue) == [SECRET]
    assert keyed.messages.get(queue, sealed).body == SECRET
    assert bodies(keyed.messages.get_many(queue, [sealed])) == [SECRET]
    claim = keyed.claim(queue)
    assert bodies(claim.messages) == [SECRET]
    assert bodies(keyed.claims.get(queue, claim.id).messages) == [SECRET]
    keyed.claims.release(queue, claim.id)
    assert bodies(keyed.messages.pop(queue, 1)) == [SECRET]


def test_dead_letters_of_an_encrypted_queue_are_plain_to_clients(keyed, queue, morgue):
    keyed.configure(
        queue, _enable_encrypt_messages=True, _dead_letter_queue=morgue.name, _max_claim_count=1
    )
    keyed.post(queue, SECRET)
    keyed.claim_and_release(queue, 1)
    assert keyed.claim(queue) is None
    assert b"attack" not in keyed.stored(morgue)[0]
    assert keyed.bodies(morgue) == [SECRET]


def test_switching_encryption_makes_no_older_message_unreadable(keyed, queue):
    keyed.post(queue, b"1")
    keyed.configure(queue, _enable_encrypt_messages=True)
    keyed.post(queue, b"2")
    keyed.configure(queue)
    keyed.post(queue, b"3")
    assert [body[0] == 0 for body in keyed.stored(queue)] == [False, True, False]
    assert keyed.bodies(queue) == [b"1", b"2", b"3"]


def test_encryption_switched_on_between_looking_and_posting_holds_for_the_post(
    keyed, open_node, queue
):
    other = open_node(message_encryption_key="correct horse")
    keyed.store.before(
        "messages.post", lambda: other.configure(queue, _enable_encrypt_messages=True)
    )
    keyed.post(queue, SECRET)
    assert keyed.stored(queue)[0][0] == 0
    assert keyed.bodies(queue) == [SECRET]


def test_the_key_is_changed_without_losing_a_message(open_node, queue):
    old = open_node(message_encryption_key="old")
    prepared = open_node(message_encryption_key="old", message_encryption_former_keys=("new",))
    changed = open_node(message_encryption_key="new", message_encryption_former_keys=("old",))
    old.configure(queue, _enable_encrypt_messages=True)
    for node in (old, prepared, changed):
        node.post(queue, SECRET)
    assert prepared.bodies(queue) == changed.bodies(queue) == [SECRET] * 3
    with pytest.raises(KeyUnavailable):
        open_node(message_encryption_key="new").bodies(queue)


def test_checksum_is_of_the_plain_body(open_node, queue):
    node = open_node(message_encryption_key="k", enable_checksum=True)
    node.configure(queue, _enable_encrypt_messages=True)
    node.post(queue, SECRET)
    assert node.all(queue)[0].checksum == checksum(SECRET)


def test_size_limits_apply_to_what_was_sent(open_node, queue):
    node = open_node(message_encryption_key="k")
    node.configure(queue, _enable_encrypt_messages=True, _max_messages_post_size=len(SECRET))
    node.post(queue, SECRET)
    assert node.bodies(queue) == [SECRET]


def test_repeat_of_a_keyed_post_to_an_encrypted_queue_is_a_repeat(keyed, queue):
    keyed.configure(queue, _enable_encrypt_messages=True)
    posts = [
        keyed.messages.post(
            queue, [Posting(SECRET)], body=SECRET, client_id=CLIENT, idempotency_key="k"
        )
        for _ in range(2)
    ]
    assert posts[1].ids == posts[0].ids
    assert posts[1].replayed
    assert keyed.bodies(queue) == [SECRET]


def test_post_to_an_encrypted_queue_without_a_key_is_refused_and_stored_nowhere(
    keyed, open_node, queue
):
    keyed.configure(queue, _enable_encrypt_messages=True)
    with pytest.raises(KeyUnavailable, match="no encryption key is set"):
        open_node().post(queue, SECRET)
    assert keyed.stored(queue) == []


def test_encryption_switched_off_meanwhile_needs_no_key_any_more(keyed, open_node, queue):
    node = open_node()
    keyed.configure(queue, _enable_encrypt_messages=True)
    with pytest.raises(KeyUnavailable):
        node.post(queue, b"1")
    keyed.configure(queue, _default_message_ttl=600)
    node.post(queue, b"2")
    assert node.bodies(queue) == [b"2"]


def test_node_that_cannot_open_a_body_says_so_and_shows_nothing_of_it(
    keyless, keyed, queue, sealed
):
    claim = keyed.claim(queue)
    (stored,) = keyed.stored(queue)
    for read in (
        lambda: keyless.all(queue),
        lambda: keyless.messages.get(queue, sealed),
        lambda: keyless.messages.get_many(queue, [sealed]),
        lambda: keyless.claims.get(queue, claim.id),
    ):
        with pytest.raises(KeyUnavailable) as failure:
            read()
        assert "attack" not in str(failure.value)
        assert stored[18:].hex() not in str(failure.value)
        assert failure.value.__cause__ is None


def test_claim_that_cannot_be_opened_is_released_at_once(keyless, keyed, queue, sealed):
    with pytest.raises(KeyUnavailable):
        keyless.claim(queue)
    assert bodies(keyed.claim(queue).messages) == [SECRET]


def test_pop_that_cannot_be_opened_loses_nothing(keyless, keyed, queue, sealed):
    before = keyed.messages.get(queue, sealed)
    with pytest.raises(KeyUnavailable):
        keyless.messages.pop(queue, 1)
    after = keyed.messages.get(queue, sealed)
    assert after._replace(sequence=0) == before._replace(sequence=0)
    assert bodies(keyed.messages.pop(queue, 1)) == [SECRET]


def test_messages_that_cannot_be_opened_can_be_deleted(keyless, keyed, queue, sealed):
    keyless.messages.delete(queue, sealed, None)
    assert keyed.stored(queue) == []
