"""Documents of messages, claims and letters, and what the contract calls them.

`exp` is the end of a lifetime, as the contract's double. `x` is when to sweep, `SWEEP_SECONDS` late, as
a date: for the TTL index, which goes by the primary's clock. An hour late, so that a primary whose
clock is ahead by less than that sweeps nothing that still counts. `collect` sweeps in time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from bson.datetime_ms import DatetimeMS

from queueing.core.models import Claim, DeadLetter, Draft, Message, QueueRef
from queueing.storage.mongodb.keys import (
    CLAIM,
    CLAIMED,
    DELAYED,
    FREE,
    LIVE,
    Document,
    QueueKey,
    message_id,
)
from queueing.storage.mongodb.ledger import Ledger

SWEEP_SECONDS: Final = 3600

SHOWN: Final = {"x": 0}
"""Projection of whatever is read to be shown."""


def sweep_at(over: float) -> DatetimeMS:
    return DatetimeMS(math.ceil((over + SWEEP_SECONDS) * 1000))


def swept_by(now: float) -> DatetimeMS:
    """What is to be swept until this is over at `now`."""
    return DatetimeMS(math.floor((now + SWEEP_SECONDS) * 1000))


def drafted(
    key: QueueKey, id: str, draft: Draft, sequence: int, client_id: str, now: float
) -> Document:
    body, ttl, delay, checksum = draft
    document = {
        "_id": key.message(id),
        "q": key.name,
        "p": key.project,
        "s": DELAYED if delay else FREE,
        "due": now + delay if delay else 0,
        "seq": sequence,
        "exp": now + ttl,
        "x": sweep_at(now + ttl),
        "t": ttl,
        "at": now,
        "u": client_id,
        "n": 0,
        "f": 0,
        "b": body,
    }
    if checksum is not None:
        document["m"] = checksum
    return document


def accepted(key: QueueKey, message: Message, sequence: int) -> Document:
    """A letter's message, as it is in the queue that it was for."""
    document = {
        "_id": key.message(message.id),
        "q": key.name,
        "p": key.project,
        "s": FREE,
        "due": 0,
        "seq": sequence,
        "exp": message.expires_at,
        "x": sweep_at(message.expires_at),
        "t": message.ttl,
        "at": message.posted_at,
        "u": message.client_id,
        "n": message.claim_count,
        "f": 0,
        "b": message.body,
    }
    if message.checksum is not None:
        document["m"] = message.checksum
    return document


def message_of(document: Mapping[str, Any], now: float) -> Message:
    held = document["s"] == CLAIMED and document["due"] > now
    return Message(
        message_id(document["_id"]),
        document["seq"],
        document["b"],
        document["t"],
        document["at"],
        document["exp"],
        document["u"],
        document["c"] if held else None,
        document["n"],
        document.get("m"),
    )


def exists(document: Mapping[str, Any], ledger: Ledger, now: float) -> bool:
    """Whether a message with this document is there at all, in whatever state."""
    return document["s"] in LIVE and document["exp"] > now and ledger.shows(document["seq"])


def letter_of(document: Mapping[str, Any], now: float) -> DeadLetter:
    return DeadLetter(document["c"], document["to"], message_of(document, now))


def claim_of(document: Mapping[str, Any], messages: tuple[Message, ...]) -> Claim:
    return Claim(document["due"], document["fence"], document["ttl"], document["at"], messages)


def claim_document(token: str, fence: int, ttl: int, now: float, remember: int) -> Document:
    """But for what its filter says. `until` is when it is over, swept `remember` seconds later."""
    over = now + ttl + remember
    return {
        "s": CLAIM,
        "due": token,
        "seq": fence,
        "ttl": ttl,
        "at": now,
        "until": now + ttl,
        "exp": over,
        "x": sweep_at(over),
    }


def ref_of(document: Mapping[str, Any]) -> QueueRef:
    return QueueRef(document["p"], document["q"])
