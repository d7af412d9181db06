"""Claims in SQLite."""

from __future__ import annotations

import json
import sqlite3
from typing import Final

from queueing.core.errors import ClaimNotFound
from queueing.core.models import (
    Claim,
    Claimed,
    ClaimTerms,
    Message,
    QueueRef,
    message_id,
)
from queueing.storage.contract import DEAD_LETTERS_PER_STEP, ClaimStore
from queueing.storage.sqlite import dead_letters
from queueing.storage.sqlite.announcing import Announcements
from queueing.storage.sqlite.connection import Connection
from queueing.storage.sqlite.places import (
    CLAIMED,
    FREE,
    LEDGER,
    MESSAGE,
    RECKON,
    Place,
    Queue,
    check_version,
    queue_at,
    tidy,
)

NEXT_FREE: Final = f"""
    SELECT {MESSAGE}, p.number FROM places p CROSS JOIN messages m ON m.number = p.number
    WHERE p.generation = ?2 AND p.pile = {FREE} AND p.sequence > ?3 AND +p.expires_at > ?1
    ORDER BY p.sequence LIMIT ?4
"""

# A message that would expire before its claim ends, ?2, lives until ?3 instead.
TAKE: Final = f"""
    UPDATE places SET pile = {CLAIMED}, due_at = ?2, claim = ?5, claim_count = claim_count + ?6,
        ttl = CASE WHEN expires_at < ?2 THEN ?4 ELSE ttl END,
        expires_at = CASE WHEN expires_at < ?2 THEN ?3 ELSE expires_at END
    WHERE generation = ?7 AND pile = {FREE} AND sequence BETWEEN ?8 AND ?9 AND +expires_at > ?1
"""

NEW_CLAIM: Final = """
    INSERT INTO claims (queue, id, fence, ttl, claimed_at, ends_at, sequences)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""

NEW_FENCE: Final = f"""
    UPDATE places SET last_fence = ?2, claimed = claimed + ?3
    WHERE generation = ?1 AND pile = {LEDGER} AND sequence = 0
"""

LIVE_CLAIM: Final = """
    SELECT c.fence, c.ttl, c.claimed_at, c.ends_at, c.sequences, q.id, q.generation
    FROM queues q CROSS JOIN claims c ON c.queue = q.id
    WHERE q.project = ? AND q.name = ? AND c.id = ? AND c.ends_at > ?
"""

HELD: Final = f"""
    SELECT {MESSAGE} FROM json_each(?4) s
        CROSS JOIN places p
            ON p.generation = ?2 AND p.pile = {CLAIMED} AND p.sequence = s.value AND +p.claim = ?3
        CROSS JOIN messages m ON m.number = p.number
    WHERE +p.expires_at > ?1 ORDER BY s.key
"""

RENEW_CLAIM: Final = """
    UPDATE claims SET ttl = ?, claimed_at = ?, ends_at = ? WHERE queue = ? AND id = ?
"""

RENEW_MESSAGES: Final = f"""
    UPDATE places SET due_at = ?1,
        ttl = CASE WHEN expires_at < ?1 THEN ?3 ELSE ttl END,
        expires_at = CASE WHEN expires_at < ?1 THEN ?2 ELSE expires_at END
    WHERE generation = ?4 AND pile = {CLAIMED}
        AND sequence IN (SELECT value FROM json_each(?5)) AND +claim = ?6
"""

RELEASE: Final = f"""
    UPDATE places SET pile = {FREE}, due_at = NULL, claim = NULL
    WHERE generation = ? AND pile = {CLAIMED}
        AND sequence IN (SELECT value FROM json_each(?)) AND +claim = ?
"""

DELETE_CLAIM: Final = "DELETE FROM claims WHERE queue = ? AND id = ?"


class SQLiteClaims(ClaimStore):
    def __init__(self, connection: Connection, announcements: Announcements) -> None:
        self._connection = connection
        self._announcements = announcements

    def claim(
        self, queue: QueueRef, terms: ClaimTerms, *, token: str, version: str, now: float
    ) -> Claimed:
        with self._connection.step() as db:
            current = queue_at(db, queue, now)
            if current is None:
                return Claimed(None, dead_letters.pile(db, queue, now))
            check_version(db, current, version)
            tidy(db, current, now)
            messages = _next_free(db, queue, current, terms, token, now)
            claim = _take(db, current, messages, terms, token, now) if messages else None
            return Claimed(claim, dead_letters.pile(db, queue, now))

    def get(self, queue: QueueRef, claim_id: str, *, now: float) -> Claim:
        with self._connection.read(brief=True, whole=True) as db:
            row = db.execute(LIVE_CLAIM, (*queue, claim_id, now)).fetchone()
            if row is None:
                raise ClaimNotFound(claim_id)
            fence, ttl, claimed_at, _, sequences, _, generation = row
            rows = db.execute(HELD, (now, generation, claim_id, sequences)).fetchall()
        messages = tuple([Message._make(row) for row in rows])
        return Claim(claim_id, fence, ttl, claimed_at, messages)

    def renew(self, queue: QueueRef, claim_id: str, terms: ClaimTerms, *, now: float) -> None:
        with self._connection.step() as db:
            row = db.execute(LIVE_CLAIM, (*queue, claim_id, now)).fetchone()
            if row is None:
                raise ClaimNotFound(claim_id)
            *_, sequences, id, generation = row
            ends_at = now + terms.ttl
            lives = terms.ttl + terms.grace
            db.execute(RENEW_CLAIM, (terms.ttl, now, ends_at, id, claim_id))
            db.execute(
                RENEW_MESSAGES, (ends_at, now + lives, lives, generation, sequences, claim_id)
            )

    def release(self, queue: QueueRef, claim_id: str, *, now: float) -> None:
        with self._connection.step() as db:
            row = db.execute(LIVE_CLAIM, (*queue, claim_id, now)).fetchone()
            if row is None:
                return
            *_, sequences, id, generation = row
            freed = db.execute(RELEASE, (generation, sequences, claim_id)).rowcount
            db.execute(DELETE_CLAIM, (id, claim_id))
            db.execute(RECKON, (generation, 0, -freed))
        if freed:
            self._announcements.tell(queue, freed)


def _next_free(
    db: sqlite3.Connection,
    queue: QueueRef,
    current: Queue,
    terms: ClaimTerms,
    token: str,
    now: float,
) -> list[Message]:
    """The oldest free messages. Those that were claimed too often are buried on the way."""
    generation, rule = current.generation, terms.dead_letter
    free: list[Message] = []
    buried = 0
    after = 0
    while len(free) < terms.limit:
        asked = (now, generation, after, terms.limit - len(free))
        rows = db.execute(NEXT_FREE, asked).fetchall()
        for row in rows:
            message = Message._make(row[:-1])
            if rule is None or message.claim_count < rule.max_claims:
                free.append(message)
                continue
            if buried == DEAD_LETTERS_PER_STEP:
                return free
            place = Place(generation, FREE, message.sequence, row[-1])
            burial = message_id(token, buried)
            dead_letters.bury(db, queue, burial, rule, message, place, now)
            buried += 1
        if len(rows) < asked[-1]:
            break
        after = rows[-1][1]
    return free


def _take(
    db: sqlite3.Connection,
    current: Queue,
    messages: list[Message],
    terms: ClaimTerms,
    token: str,
    now: float,
) -> Claim:
    """Put the messages, all that are free from the first to the last of them, under a new claim."""
    ends_at = now + terms.ttl
    lives = terms.ttl + terms.grace
    counted = terms.dead_letter is not None
    fence = max(current.last_fence + 1, int(now * 1_000_000))
    sequences = [message.sequence for message in messages]
    db.execute(
        NEW_CLAIM,
        (current.id, token, fence, terms.ttl, now, ends_at, json.dumps(sequences)),
    )
    db.execute(
        TAKE,
        (
            *(now, ends_at, now + lives, lives, token, counted),
            *(current.generation, sequences[0], sequences[-1]),
        ),
    )
    db.execute(NEW_FENCE, (current.generation, fence, len(messages)))
    held = tuple(
        [
            message._replace(
                claim_id=token,
                claim_count=message.claim_count + counted,
                ttl=lives if message.expires_at < ends_at else message.ttl,
                expires_at=now + lives if message.expires_at < ends_at else message.expires_at,
            )
            for message in messages
        ]
    )
    return Claim(token, fence, terms.ttl, now, held)
