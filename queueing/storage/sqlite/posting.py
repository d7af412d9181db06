"""Putting messages at the end of a queue in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Final, NamedTuple

from queueing.core.errors import IdempotencyKeyReused, StorageUnavailable
from queueing.core.models import (
    NO_METADATA,
    Draft,
    IdempotencyKey,
    Posted,
    QueueRef,
    message_id,
)
from queueing.storage.sqlite.connection import Connection
from queueing.storage.sqlite.numbering import PROBES, first_number, first_numbers
from queueing.storage.sqlite.places import (
    DELAYED,
    FREE,
    LEDGER,
    check_version,
    make_queue,
    queue_at,
)

# ?1 messages more; RETURNING the last of their sequences. ?2 is now in µs.
APPEND: Final = f"""
    UPDATE places SET last_sequence = max(last_sequence, ?2 - 1) + ?1, total = total + ?1
    WHERE pile = {LEDGER} AND sequence = 0 AND generation = (
        SELECT generation FROM queues WHERE project = ?3 AND name = ?4 AND version = ?5
    )
    RETURNING generation, last_sequence, sweep_at
"""

SWEEP_SOONER: Final = f"""
    UPDATE places SET sweep_at = ? WHERE generation = ? AND pile = {LEDGER} AND sequence = 0
"""

NEW_MESSAGE: Final = """
    INSERT INTO messages (number, generation, sequence, id, posted_at, client_id, checksum, body)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""

NEW_PLACE: Final = """
    INSERT INTO places (generation, pile, sequence, number, expires_at, ttl, claim_count, due_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""

NUMBERS: Final = "SELECT number, generation, id FROM messages WHERE number BETWEEN ? AND ?"

KEY: Final = """
    SELECT digest, token, messages FROM idempotency_keys
    WHERE project = ? AND name = ? AND key = ? AND expires_at > ?
"""

REMEMBER_KEY: Final = """
    INSERT OR REPLACE INTO idempotency_keys
        (project, name, key, digest, token, messages, expires_at)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""


MORE_ROWS: Final = ", (?, ?, ?, ?, ?, ?, ?, ?)" * 9
"""Makes either of both insert ten rows at once."""


class AlreadyThere(Exception):
    """The queue has a message with this id: the post was done before."""


class Arrival(NamedTuple):
    """A message that is new to a queue."""

    id: str
    body: bytes
    ttl: int
    posted_at: float
    expires_at: float
    client_id: str
    claim_count: int
    checksum: str | None
    due_at: float | None = None  # the end of its delay


class Post(NamedTuple):
    """What `MessageStore.post` is asked for."""

    queue: QueueRef
    drafts: Sequence[Draft]
    client_id: str
    token: str
    version: str
    now: float
    idempotency: IdempotencyKey | None


def post(connection: Connection, asked: Post) -> Posted:
    """`MessageStore.post`."""
    ids = tuple([message_id(asked.token, index) for index in range(len(asked.drafts))])
    try:
        with connection.step() as db:
            return _post(db, asked, ids, first_numbers(asked.token, len(ids)))
    except sqlite3.IntegrityError:
        pass  # a number is taken: by chance, or since this post was done before
    try:
        with connection.step() as db:
            return _post(db, asked, ids, None)
    except AlreadyThere:
        return Posted(ids)


def _post(
    db: sqlite3.Connection, asked: Post, ids: tuple[str, ...], numbers: Sequence[int] | None
) -> Posted:
    queue, drafts, client_id, _, version, now, idempotency = asked
    if idempotency and (done := _done(db, queue, idempotency, now)):
        return done
    arrivals = [
        Arrival(
            id, body, ttl, now, now + ttl, client_id, 0, checksum, now + delay if delay else None
        )
        for id, (body, ttl, delay, checksum) in zip(ids, drafts, strict=True)
    ]
    append(db, queue, arrivals, numbers, version=version, now=now)
    if idempotency:
        key, digest, expires_at = idempotency
        db.execute(REMEMBER_KEY, (*queue, key, digest, asked.token, len(ids), expires_at))
    return Posted(ids)


def _done(
    db: sqlite3.Connection, queue: QueueRef, idempotency: IdempotencyKey, now: float
) -> Posted | None:
    """What was answered under the key, if it is remembered."""
    row = db.execute(KEY, (*queue, idempotency.key, now)).fetchone()
    if row is None:
        return None
    digest, token, count = row
    if digest != idempotency.digest:
        raise IdempotencyKeyReused(idempotency.key)
    return Posted(tuple([message_id(token, index) for index in range(count)]), replayed=True)


def append(
    db: sqlite3.Connection,
    queue: QueueRef,
    arrivals: Sequence[Arrival],
    numbers: Sequence[int] | None,
    *,
    version: str,
    now: float,
) -> None:
    """Give the arrivals the next sequences of the queue, which is made if it is missing."""
    count = len(arrivals)
    asked = (count, int(now * 1_000_000), *queue, version)
    row = db.execute(APPEND, asked).fetchone()
    if row is None:
        current = queue_at(db, queue, now)
        check_version(db, current, version)
        make_queue(db, queue, NO_METADATA)
        row = db.execute(APPEND, asked).fetchone()
    generation, last, sweep_at = row
    if numbers is None:
        numbers = _vacant_numbers(db, generation, [arrival.id for arrival in arrivals])
    messages = []
    places = []
    soonest = sweep_at
    for number, sequence, arrival in zip(
        numbers, range(last - count + 1, last + 1), arrivals, strict=True
    ):
        id, body, ttl, posted_at, expires_at, client_id, claim_count, checksum, due_at = arrival
        messages.append((number, generation, sequence, id, posted_at, client_id, checksum, body))
        pile = FREE if due_at is None else DELAYED
        places.append((generation, pile, sequence, number, expires_at, ttl, claim_count, due_at))
        if soonest is None or expires_at < soonest:
            soonest = expires_at
    _insert(db, NEW_MESSAGE, messages)
    _insert(db, NEW_PLACE, places)
    if soonest != sweep_at:
        db.execute(SWEEP_SOONER, (soonest, generation))


def _insert(db: sqlite3.Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    tens = len(rows) - len(rows) % 10
    for start in range(0, tens, 10):
        ten = chain.from_iterable(rows[start : start + 10])
        db.execute(statement + MORE_ROWS, list(ten))
    db.executemany(statement, rows[tens:])


def _vacant_numbers(db: sqlite3.Connection, generation: int, ids: Sequence[str]) -> list[int]:
    """A number for each of the new messages that none has, not even one of them.

    :raises AlreadyThere: one of the messages is there
    """
    numbers: dict[int, str] = {}
    for id in ids:
        first = first_number(id)
        rows = db.execute(NUMBERS, (first, first + PROBES - 1)).fetchall()
        if any((row[1], row[2]) == (generation, id) for row in rows):
            raise AlreadyThere
        used = {row[0] for row in rows}
        vacant = (n for n in range(first, first + PROBES) if n not in used and n not in numbers)
        number = next(vacant, None)
        if number is None:
            raise StorageUnavailable(f"there is no number left for message {id}")
        numbers[number] = id
    return list(numbers)
