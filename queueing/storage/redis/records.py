"""What is stored of a message, and how it becomes one again. `scripts/_messages.lua` reads the same.

A message: sequence (16 digits, put in front by the script), time of the post, end of life, ttl, the length and
form of the client id, the length of the checksum, then these two and the body. What was changed
since: end of life, ttl, claim count, and the claim that took it last (in an answer: only while that
claim holds it).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from queueing.core.models import DeadLetter, Draft, Message
from queueing.storage.redis.keys import pack_id, text, unpack_id

_POSTED: Final = struct.Struct(">ddI2sH")
_STORED: Final = struct.Struct(">16sddIHH")
_TOUCHED: Final = struct.Struct(">dII")
_NO_CHECKSUM: Final = 0xFFFF
_CLIENT: Final = struct.Struct(">H")
_UUID: Final = 0x8000


def microseconds(seconds: float) -> int:
    """A time as the scripts have it in zsets; they round others the same way."""
    return round(seconds * 1_000_000)


def both(now: float) -> tuple[str, int]:
    """A time as it stands in records, and as it stands in zsets."""
    return repr(now), round(now * 1_000_000)


def pack_draft(draft: Draft, client: bytes, now: float, ends: float) -> bytes:
    return _pack(draft.body, draft.ttl, now, ends, client, draft.checksum)


def pack_message(message: Message) -> bytes:
    """A message that keeps the time of its post."""
    client = pack_client(message.client_id)
    posted_at, ends = message.posted_at, message.expires_at
    return _pack(message.body, message.ttl, posted_at, ends, client, message.checksum)


def pack_touched(message: Message) -> bytes:
    return _TOUCHED.pack(message.expires_at, message.ttl, message.claim_count)


@lru_cache(maxsize=4096)
def pack_client(client_id: str) -> bytes:
    """Length, with a mark if it is a UUID, then the id: of a UUID its 16 bytes."""
    if len(client_id) == 36:
        try:
            packed = bytes.fromhex(client_id.replace("-", ""))
        except ValueError:
            packed = b""
        if _hyphenated(packed) == client_id:
            return _CLIENT.pack(len(packed) | _UUID) + packed
    encoded = client_id.encode("utf-8", "surrogatepass")
    return _CLIENT.pack(len(encoded)) + encoded


@lru_cache(maxsize=4096)
def _hyphenated(uuid: bytes) -> str:
    digits = uuid.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def unpack_messages(answer: Sequence[bytes]) -> list[Message]:
    """The messages of an answer: id, message, touched of each."""
    three = iter(answer)
    return [unpack_message(*each) for each in zip(three, three, three, strict=True)]


def unpack_message(id: bytes, stored: bytes, touched: bytes) -> Message:
    sequence, posted_at, ends, ttl, client_length, checksum_length = _STORED.unpack_from(stored)
    client_end = _STORED.size + (client_length & ~_UUID)
    client = stored[_STORED.size : client_end]
    checksum = None
    if checksum_length == _NO_CHECKSUM:
        body = stored[client_end:]
    else:
        checksum = stored[client_end : client_end + checksum_length].decode()
        body = stored[client_end + checksum_length :]
    count, claim_id = 0, None
    if touched:
        ends, ttl, count = _TOUCHED.unpack_from(touched)
        claim = touched[_TOUCHED.size :]
        claim_id = unpack_id(claim) if claim else None
    return Message(
        unpack_id(id),
        int(sequence),
        body,
        ttl,
        posted_at,
        ends,
        _hyphenated(client) if client_length & _UUID else text(client),
        claim_id,
        count,
        checksum,
    )


def unpack_posted_at(eight_bytes: bytes) -> float:
    (posted_at,) = struct.unpack(">d", eight_bytes)
    assert isinstance(posted_at, float)
    return posted_at


def unpack_letters(answer: Sequence[Sequence[bytes]]) -> list[DeadLetter]:
    """The letters of an answer: burial, target, id, message, touched of each."""
    return [
        DeadLetter(text(burial), text(target), unpack_message(*message))
        for burial, target, *message in answer
    ]


def pack_letter(letter: DeadLetter) -> tuple[bytes, bytes, bytes, bytes]:
    """A letter as `accept.lua` takes it: burial, id, message, touched."""
    message = letter.message
    burial = letter.burial.encode("utf-8", "surrogatepass")
    return burial, pack_id(message.id), pack_message(message), pack_touched(message)


def _pack(
    body: bytes, ttl: int, posted_at: float, ends: float, client: bytes, checksum: str | None
) -> bytes:
    """`client` as of `pack_client`: its length is put before the checksum's."""
    if checksum is None:
        head = _POSTED.pack(posted_at, ends, ttl, client[:2], _NO_CHECKSUM)
        return head + client[2:] + body
    digest = checksum.encode()
    head = _POSTED.pack(posted_at, ends, ttl, client[:2], len(digest))
    return b"".join((head, client[2:], digest, body))
