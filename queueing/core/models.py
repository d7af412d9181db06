"""The nouns of the service, as plain immutable values.

Times are epoch seconds (float), durations whole seconds (int), bodies JSON text in UTF-8 (bytes)
that nobody below the HTTP edge decodes. Named tuples, because several are made per request and a
frozen dataclass takes four times as long to build.
"""

from __future__ import annotations

import hashlib
import os
from time import time_ns
from typing import NamedTuple

EMPTY_METADATA = b"{}"


class QueueRef(NamedTuple):
    """Which queue: the only way to name one below the HTTP edge, so that no project is forgotten."""

    project: str
    name: str


class Metadata(NamedTuple):
    """A queue's metadata as stored: one JSON object, and the version that names its content."""

    document: bytes
    version: str

    @classmethod
    def of(cls, document: bytes) -> Metadata:
        return cls(document, metadata_version(document))


def metadata_version(document: bytes) -> str:
    """Name the content of a metadata document: equal documents, equal version.

    `{}` is the empty string, and so is a queue that does not exist: both mean "all defaults".
    A hash, so that a queue deleted and made anew with other settings never has an old version.
    """
    return "" if document == EMPTY_METADATA else hashlib.sha256(document).hexdigest()[:32]


NO_METADATA = Metadata(EMPTY_METADATA, "")


class QueueEntry(NamedTuple):
    """One line of a listing of queues."""

    name: str
    metadata: Metadata


class Draft(NamedTuple):
    """A message as it is about to be posted; every default is filled in."""

    body: bytes
    ttl: int
    delay: int = 0
    checksum: str | None = None


class Message(NamedTuple):
    """A message as stored, seen at some `now`.

    `claim_id` is that of the live claim which holds it, else None. `ttl` is the lifetime granted
    (it may have been extended by a claim, so `expires_at` need not be `posted_at + ttl`).
    """

    id: str
    sequence: int
    body: bytes
    ttl: int
    posted_at: float
    expires_at: float
    client_id: str
    claim_id: str | None
    claim_count: int
    checksum: str | None


class IdempotencyKey(NamedTuple):
    """The client's own name for a post, the SHA-256 of its body, and how long both are kept."""

    key: str
    digest: bytes
    expires_at: float


class Posted(NamedTuple):
    """The ids of a post's messages, in posting order; `replayed` when an earlier post made them."""

    ids: tuple[str, ...]
    replayed: bool = False


class DeadLetterRule(NamedTuple):
    """From the `max_claims + 1`th claim on, a message goes to queue `target` of the same project.

    `ttl`: its lifetime in seconds from that moment, None to leave its lifetime as it is.
    """

    target: str
    max_claims: int
    ttl: int | None = None


class ClaimTerms(NamedTuple):
    """What a claim asks for. `limit` does not count when a claim is renewed."""

    ttl: int
    grace: int
    limit: int = 10
    dead_letter: DeadLetterRule | None = None


class Claim(NamedTuple):
    """A claim at some `now`. `claimed_at`: when it was made or last renewed. `fence` grows per queue."""

    id: str
    fence: int
    ttl: int
    claimed_at: float
    messages: tuple[Message, ...]


class DeadLetter(NamedTuple):
    """A message on its queue's dead pile, on its way to queue `target` of the same project.

    `burial` names this one move: the target accepts a burial once, even if the message was
    deleted there since; `message` has the lifetime that it will have there.
    """

    burial: str
    target: str
    message: Message


class Claimed(NamedTuple):
    """What a claim step did: the claim, if anything was free, and what lies on the dead pile now."""

    claim: Claim | None
    dead_letters: tuple[DeadLetter, ...] = ()


class Milestone(NamedTuple):
    """The oldest or the newest message of a queue."""

    id: str
    posted_at: float


class Stats(NamedTuple):
    """Unexpired messages of a queue; delayed ones count as free."""

    free: int
    claimed: int
    oldest: Milestone | None = None
    newest: Milestone | None = None


class Outlook(NamedTuple):
    """What somebody who waits at a queue has to expect, seen at some `now`.

    `free`: how many messages are free, as far as was counted. `due_at`: the earliest time after
    `now` at which a delayed or a claimed one gets free, None if none waits.
    """

    free: int
    due_at: float | None


def request_token() -> str:
    """Name one request: 32 hex digits, 48 bits of time in ms and 80 random ones.

    The ids of what the request makes are derived from it, so that doing it again is noticed.
    The time only keeps neighbours together in the indexes of a store; nothing is decided by it.
    """
    return f"{time_ns() // 1_000_000 % (1 << 48):012x}{_twenty_digits()}"


_RANDOM_AT_ONCE = 128  # asking the system is what a token costs most

_random: list[str] = []
# A process that was forked would go on with its parent's.
os.register_at_fork(after_in_child=_random.clear)


def _twenty_digits() -> str:
    """80 random bits."""
    while True:
        try:
            return _random.pop()  # atomic, so threads share the list without a lock
        except IndexError:
            digits = os.urandom(10 * _RANDOM_AT_ONCE).hex()
            _random.extend(digits[start : start + 20] for start in range(0, len(digits), 20))


def message_id(token: str, index: int) -> str:
    """The id of the `index`th message (from 0) of the post with this token: 36 characters."""
    return f"{token}{index:04x}"
