"""Dead piles in SQLite, and what a queue remembers of the letters that it accepted."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from queueing.core.models import NO_METADATA, DeadLetter, DeadLetterRule, Message, QueueRef
from queueing.storage.contract import BURIAL_SECONDS, DEAD_LETTERS_PER_STEP
from queueing.storage.sqlite.places import Place, find, make_queue, queue_at, remove
from queueing.storage.sqlite.posting import Arrival, append

PILE: Final = """
    SELECT burial, target,
        id, sequence, body, ttl, posted_at, expires_at, client_id, NULL, claim_count, checksum
    FROM dead_letters WHERE project = ? AND name = ? AND +expires_at > ? ORDER BY number LIMIT ?
"""

BURY: Final = """
    INSERT INTO dead_letters (
        project, name, burial, target,
        id, sequence, body, ttl, posted_at, expires_at, client_id, claim_count, checksum
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

CLEAR: Final = "DELETE FROM dead_letters WHERE burial = ? AND +project = ? AND +name = ?"

BURIAL: Final = """
    SELECT 1 FROM burials WHERE project = ? AND name = ? AND burial = ? AND expires_at > ?
"""

REMEMBER_BURIAL: Final = """
    INSERT OR REPLACE INTO burials (project, name, burial, expires_at) VALUES (?, ?, ?, ?)
"""


def pile(db: sqlite3.Connection, queue: QueueRef, now: float) -> tuple[DeadLetter, ...]:
    """What lies on the queue's dead pile, oldest burial first."""
    rows = db.execute(PILE, (*queue, now, DEAD_LETTERS_PER_STEP)).fetchall()
    return tuple([DeadLetter(row[0], row[1], Message._make(row[2:])) for row in rows])


def bury(
    db: sqlite3.Connection,
    queue: QueueRef,
    burial: str,
    rule: DeadLetterRule,
    message: Message,
    place: Place,
    now: float,
) -> None:
    """Move the message from its place onto the pile."""
    id, sequence, body, ttl, posted_at, expires_at, client_id, _, count, checksum = message
    if rule.ttl is not None:
        ttl, expires_at = rule.ttl, now + rule.ttl
    letter = (id, sequence, body, ttl, posted_at, expires_at, client_id, count, checksum)
    db.execute(BURY, (*queue, burial, rule.target, *letter))
    remove(db, place.generation, [place])


def accept(
    db: sqlite3.Connection, queue: QueueRef, letters: Sequence[DeadLetter], now: float
) -> None:
    """`MessageStore.accept_dead_letters`."""
    new = {
        letter.burial: letter
        for letter in letters
        if db.execute(BURIAL, (*queue, letter.burial, now)).fetchone() is None
    }
    if not new:
        return
    current = queue_at(db, queue, now)
    if current is None:
        make_queue(db, queue, NO_METADATA)
        current = queue_at(db, queue, now)
        assert current is not None
    arrivals: dict[str, Arrival] = {}
    for _, _, message in new.values():
        if now < message.expires_at:
            arrivals.setdefault(message.id, _arrival(message))
    for id in find(db, current.generation, arrivals, now):
        del arrivals[id]
    # Those that have expired but were not swept yet must not lend their ids.
    expired = find(db, current.generation, arrivals, 0.0)
    remove(db, current.generation, expired.values())
    if arrivals:
        append(db, queue, list(arrivals.values()), None, version=current.version, now=now)
    until = now + BURIAL_SECONDS
    db.executemany(REMEMBER_BURIAL, [(*queue, burial, until) for burial in new])


def clear(db: sqlite3.Connection, queue: QueueRef, burials: Sequence[str]) -> None:
    """`MessageStore.clear_dead_letters`."""
    db.executemany(CLEAR, [(burial, *queue) for burial in burials])


def _arrival(message: Message) -> Arrival:
    return Arrival(
        id=message.id,
        body=message.body,
        ttl=message.ttl,
        posted_at=message.posted_at,
        expires_at=message.expires_at,
        client_id=message.client_id,
        claim_count=message.claim_count,
        checksum=message.checksum,
    )
