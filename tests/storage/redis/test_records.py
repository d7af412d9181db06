"""Messages come back from their records as they went in."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueing.core.models import Draft, Message
from queueing.storage.redis.keys import pack_id
from queueing.storage.redis.records import (
    pack_client,
    pack_draft,
    pack_message,
    pack_touched,
    unpack_message,
)

times = st.floats(0, 4e9)
clients = st.text(max_size=40) | st.uuids().map(str) | st.uuids().map(lambda uuid: uuid.hex)
messages = st.builds(
    Message,
    id=st.just("ab" * 18),
    sequence=st.integers(1, 2**53 - 1),
    body=st.binary(max_size=300),
    ttl=st.integers(0, 2**32 - 1),
    posted_at=times,
    expires_at=times,
    client_id=clients,
    claim_id=st.none(),
    claim_count=st.integers(0, 2**32 - 1),
    checksum=st.none() | st.just("") | st.just("MD5:" + "0" * 32),
)


def sequence(message: Message) -> bytes:
    """What the script puts in front."""
    return b"%016d" % message.sequence


@given(messages)
def test_a_message_is_read_back_as_it_was(message: Message) -> None:
    stored = sequence(message) + pack_message(message)
    assert unpack_message(pack_id(message.id), stored, pack_touched(message)) == message


@given(messages)
def test_a_draft_becomes_a_message(message: Message) -> None:
    draft = Draft(message.body, message.ttl, 0, message.checksum)
    packed = pack_draft(
        draft, pack_client(message.client_id), message.posted_at, message.expires_at
    )
    read = unpack_message(pack_id(message.id), sequence(message) + packed, b"")
    assert read == message._replace(claim_count=0)


def test_the_claim_that_holds_a_message_is_shown() -> None:
    message = Message("a", 1, b"", 60, 1.0, 61.0, "c", None, 3, None)
    touched = pack_touched(message) + pack_id("claim")
    stored = sequence(message) + pack_message(message)
    assert unpack_message(pack_id("a"), stored, touched) == message._replace(claim_id="claim")


@pytest.mark.parametrize("odd", ["A" * 8 + "-0000-0000-0000-000000000000", "-" * 36, "0" * 36])
def test_what_only_looks_like_a_uuid_is_kept_as_it_is(odd: str) -> None:
    message = Message("a", 1, b"", 60, 1.0, 61.0, odd, None, 0, None)
    stored = sequence(message) + pack_message(message)
    assert unpack_message(pack_id("a"), stored, b"").client_id == odd


def test_a_uuid_takes_half_of_its_digits() -> None:
    assert len(pack_client(str(UUID(int=1)))) == 2 + 16
