"""Where a queue's messages are, and moving them: claimed, delayed, free; and the ledger beside them.

All of it inside a step or a snapshot that somebody else has begun.

Filters are written `+expires_at > ?`, with a plus, where an index must not be chosen for them: the
order by sequence is what keeps a statement from reading more than it answers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final, NamedTuple

from queueing.core.errors import StaleSettings
from queueing.core.models import (
    EMPTY_METADATA,
    NO_METADATA,
    Metadata,
    QueueRef,
)
from queueing.storage.contract import DUE_PER_STEP
from queueing.storage.sqlite.numbering import PROBES, first_number

CLAIMED: Final = 0
DELAYED: Final = 1
FREE: Final = 2
LEDGER: Final = 3

SWEEP_PER_STEP: Final = 1000
"""How many expired messages a step that meets them takes away, at most."""

BACKLOG: Final = 100
"""From so many expired or due messages on, who only reads has them swept or brought back, too."""

MESSAGE: Final = """
    m.id, p.sequence, m.body, p.ttl, m.posted_at, p.expires_at, m.client_id,
    CASE WHEN p.due_at > ?1 THEN p.claim END, p.claim_count, m.checksum
"""
"""The fields of `models.Message`, out of messages m and places p; ?1 is now."""

QUEUE: Final = f"""
    SELECT q.id, q.generation, q.version, l.last_fence, l.sweep_at <= ?3, EXISTS (
        SELECT 1 FROM places WHERE generation = q.generation AND due_at <= ?3
    )
    FROM queues q CROSS JOIN places l
        ON l.generation = q.generation AND l.pile = {LEDGER} AND l.sequence = 0
    WHERE q.project = ?1 AND q.name = ?2
"""

DOCUMENT: Final = "SELECT document FROM documents WHERE queue = ?"

NEW_NUMBERS: Final = """
    UPDATE store SET next_number = next_number + ? RETURNING next_number
"""

NEW_QUEUE: Final = """
    INSERT INTO queues (project, name, id, generation, version) VALUES (?, ?, ?, ?, ?)
"""

NEW_DOCUMENT: Final = "INSERT INTO documents (queue, document) VALUES (?, ?)"

ONE_QUEUE_MORE: Final = """
    INSERT INTO projects (project, queues) VALUES (?, 1)
    ON CONFLICT (project) DO UPDATE SET queues = queues + 1
"""

COME_BACK: Final = """
    DELETE FROM gone WHERE project = ? AND name = ? RETURNING last_sequence, last_fence
"""

NEW_LEDGER: Final = f"""
    INSERT INTO places (generation, pile, sequence, last_sequence, last_fence, total, claimed)
    VALUES (?, {LEDGER}, 0, ?, ?, 0, 0)
"""

FIND: Final = f"""
    SELECT p.pile, p.sequence, m.number,
        CASE WHEN p.pile = {CLAIMED} AND p.due_at > ?1 THEN p.claim END
    FROM messages m CROSS JOIN places p
        ON p.generation = m.generation
        AND p.pile IN ({CLAIMED}, {DELAYED}, {FREE}) AND p.sequence = m.sequence
    WHERE m.number BETWEEN ?2 AND ?2 + ?3 AND m.id = ?4 AND m.generation = ?5
        AND +p.expires_at > ?1
"""

BRING_BACK: Final = f"""
    UPDATE places SET pile = {FREE}, due_at = NULL, claim = NULL
    WHERE (generation, pile, sequence) IN (
        SELECT generation, pile, sequence FROM places INDEXED BY waiting
        WHERE generation = ?1 AND due_at <= ?2 AND expires_at > ?2 ORDER BY due_at LIMIT ?3
    )
"""

COUNT_BACK: Final = f"""
    SELECT count(*) FROM (
        SELECT pile FROM places INDEXED BY waiting
        WHERE generation = ?1 AND due_at <= ?2 AND expires_at > ?2 ORDER BY due_at LIMIT ?3
    ) WHERE pile = {CLAIMED}
"""

EXPIRED: Final = """
    SELECT pile, sequence, number FROM places INDEXED BY expiring
    WHERE generation = ?1 AND expires_at <= ?2 ORDER BY expires_at LIMIT ?3
"""

SOONEST: Final = f"""
    UPDATE places SET sweep_at = (
        SELECT expires_at FROM places INDEXED BY expiring
        WHERE generation = ?1 AND expires_at IS NOT NULL ORDER BY expires_at LIMIT 1
    )
    WHERE generation = ?1 AND pile = {LEDGER} AND sequence = 0
"""

DELETE_MESSAGE: Final = "DELETE FROM messages WHERE number = ?"

DELETE_PLACE: Final = "DELETE FROM places WHERE generation = ? AND pile = ? AND sequence = ?"

RECKON: Final = f"""
    UPDATE places SET total = total + ?2, claimed = claimed + ?3
    WHERE generation = ?1 AND pile = {LEDGER} AND sequence = 0
"""


class Queue(NamedTuple):
    """A queue that exists, at some `now`, and whether it has messages that are expired or due."""

    id: int
    generation: int
    version: str
    last_fence: int
    expired: int | None
    due: int


class Place(NamedTuple):
    """Of an unexpired message; `claim` is that of the live claim that holds it."""

    generation: int
    pile: int
    sequence: int
    number: int
    claim: str | None = None


def queue_at(db: sqlite3.Connection, queue: QueueRef, now: float) -> Queue | None:
    row = db.execute(QUEUE, (*queue, now)).fetchone()
    return None if row is None else Queue._make(row)


def make_queue(db: sqlite3.Connection, queue: QueueRef, metadata: Metadata) -> None:
    """Make the queue, which does not exist."""
    (next_number,) = db.execute(NEW_NUMBERS, (2,)).fetchone()
    id, generation = next_number - 2, next_number - 1
    db.execute(NEW_QUEUE, (*queue, id, generation, metadata.version))
    if metadata.version:
        db.execute(NEW_DOCUMENT, (id, metadata.document))
    db.execute(ONE_QUEUE_MORE, (queue.project,))
    lasts = db.execute(COME_BACK, queue).fetchone() or (0, 0)
    db.execute(NEW_LEDGER, (generation, *lasts))


def check_version(db: sqlite3.Connection, queue: Queue | None, version: str) -> None:
    """:raises StaleSettings: the queue's settings are of another version; a missing one's is \"\""""
    if version != (queue.version if queue else ""):
        raise StaleSettings(metadata_of(db, queue) if queue else NO_METADATA)


def metadata_of(db: sqlite3.Connection, queue: Queue) -> Metadata:
    row = db.execute(DOCUMENT, (queue.id,)).fetchone()
    return Metadata(row[0] if row else EMPTY_METADATA, queue.version)


def bring_back(db: sqlite3.Connection, queue: Queue, now: float) -> None:
    """Free up to `DUE_PER_STEP` messages whose delay or claim is over, the longest over first."""
    due = (queue.generation, now, DUE_PER_STEP)
    (claimed,) = db.execute(COUNT_BACK, due).fetchone()
    db.execute(BRING_BACK, due)
    db.execute(RECKON, (queue.generation, 0, -claimed))


def sweep(db: sqlite3.Connection, generation: int, now: float, limit: int) -> int:
    """Take away up to `limit` expired messages, whatever pile they are on. Returns how many."""
    rows = db.execute(EXPIRED, (generation, now, limit)).fetchall()
    remove(db, generation, [Place(generation, *row) for row in rows])
    db.execute(SOONEST, (generation,))
    return len(rows)


def tidy(db: sqlite3.Connection, queue: Queue, now: float) -> None:
    """What a step does first that is going to look at the order of free messages."""
    if queue.expired:
        sweep(db, queue.generation, now, SWEEP_PER_STEP)
    if queue.due:
        bring_back(db, queue, now)


def remove(db: sqlite3.Connection, generation: int, places: Iterable[Place]) -> None:
    """Delete the messages at these places, all of one generation."""
    places = list(places)
    db.executemany(DELETE_MESSAGE, [(place.number,) for place in places])
    db.executemany(DELETE_PLACE, [place[:3] for place in places])
    claimed = sum(place.pile == CLAIMED for place in places)
    db.execute(RECKON, (generation, -len(places), -claimed))


def find(
    db: sqlite3.Connection, generation: int, ids: Iterable[str], now: float
) -> dict[str, Place]:
    """Where those of the messages are that exist."""
    found = {}
    for id in ids:
        row = db.execute(FIND, (now, first_number(id), PROBES - 1, id, generation)).fetchone()
        if row is not None:
            found[id] = Place(generation, *row)
    return found
