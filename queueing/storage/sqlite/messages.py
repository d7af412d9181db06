"""Messages in SQLite: reading, deleting, counting. Posting is in `posting.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from queueing.core.errors import ClaimExpired, MessageIsClaimed, StorageUnavailable, WrongClaim
from queueing.core.models import (
    DeadLetter,
    Draft,
    IdempotencyKey,
    Message,
    Milestone,
    Outlook,
    Posted,
    QueueRef,
    Stats,
)
from queueing.storage.contract import MessageStore
from queueing.storage.sqlite import dead_letters
from queueing.storage.sqlite.announcing import Announcements
from queueing.storage.sqlite.connection import Connection
from queueing.storage.sqlite.numbering import PROBES, first_number
from queueing.storage.sqlite.places import (
    BACKLOG,
    CLAIMED,
    DELAYED,
    FREE,
    LEDGER,
    MESSAGE,
    NEW_LEDGER,
    NEW_NUMBERS,
    Place,
    find,
    queue_at,
    remove,
    tidy,
)
from queueing.storage.sqlite.posting import Post, post
from queueing.storage.sqlite.queues import ABANDON

GET: Final = f"""
    SELECT {MESSAGE} FROM messages m CROSS JOIN places p
        ON p.generation = m.generation
        AND p.pile IN ({CLAIMED}, {DELAYED}, {FREE}) AND p.sequence = m.sequence
    WHERE m.number BETWEEN ?2 AND ?2 + ?3 AND m.id = ?4
        AND m.generation = (SELECT generation FROM queues WHERE project = ?5 AND name = ?6)
        AND +p.expires_at > ?1
"""

# Whether anything is due, and whether so much is expired or due that it should be seen to.
LOOK: Final = f"""
    SELECT q.generation,
        EXISTS (SELECT 1 FROM places WHERE generation = q.generation AND due_at <= ?3),
        EXISTS (
            SELECT 1 FROM places INDEXED BY waiting WHERE generation = q.generation AND due_at <= ?3
            LIMIT 1 OFFSET {BACKLOG}
        ) OR l.sweep_at <= ?3 AND EXISTS (
            SELECT 1 FROM places INDEXED BY expiring
            WHERE generation = q.generation AND expires_at <= ?3 LIMIT 1 OFFSET {BACKLOG}
        )
    FROM queues q CROSS JOIN places l
        ON l.generation = q.generation AND l.pile = {LEDGER} AND l.sequence = 0
    WHERE q.project = ?1 AND q.name = ?2
"""

# Of one pile in order; ?5 is whom to hide, NULL nobody.
PAGE: Final = f"""
    SELECT {MESSAGE} FROM places p CROSS JOIN messages m ON m.number = p.number
    WHERE p.generation = ?2 AND p.pile = ?3 AND p.sequence > ?4 AND +p.expires_at > ?1
        AND (?5 IS NULL OR m.client_id <> ?5)
    ORDER BY p.sequence LIMIT ?6
"""

# Of one pile, those that wait there only because nobody has brought them back yet.
PAGE_OF_DUE: Final = f"""
    SELECT {MESSAGE} FROM places p INDEXED BY waiting CROSS JOIN messages m ON m.number = p.number
    WHERE p.generation = ?2 AND p.due_at <= ?1 AND p.expires_at > ?1
        AND p.pile = ?3 AND p.sequence > ?4
        AND (?5 IS NULL OR m.client_id <> ?5)
    ORDER BY p.sequence LIMIT ?6
"""

OLDEST_FREE: Final = f"""
    SELECT {MESSAGE}, p.number FROM places p CROSS JOIN messages m ON m.number = p.number
    WHERE p.generation = ?2 AND p.pile = {FREE} AND +p.expires_at > ?1
    ORDER BY p.sequence LIMIT ?3
"""

COUNTS: Final = f"""
    SELECT q.generation, l.total, l.claimed,
        CASE WHEN l.sweep_at <= ?3 THEN (
            SELECT count(*) FROM places INDEXED BY expiring
            WHERE generation = q.generation AND expires_at <= ?3
        ) ELSE 0 END,
        (
            SELECT count(*) FROM places INDEXED BY waiting
            WHERE generation = q.generation AND due_at <= ?3 AND pile = {CLAIMED}
        )
    FROM queues q CROSS JOIN places l
        ON l.generation = q.generation AND l.pile = {LEDGER} AND l.sequence = 0
    WHERE q.project = ?1 AND q.name = ?2
"""

# Up to ?3 that are free, or that nobody has brought back yet; and when the next one is due.
OUTLOOK: Final = f"""
    SELECT
        (SELECT count(*) FROM (
            SELECT 1 FROM places WHERE generation = q.generation AND pile = {FREE} LIMIT ?4
        )) + (SELECT count(*) FROM (
            SELECT 1 FROM places INDEXED BY waiting
            WHERE generation = q.generation AND due_at <= ?3 LIMIT ?4
        )),
        (SELECT min(due_at) FROM places INDEXED BY waiting
            WHERE generation = q.generation AND due_at > ?3)
    FROM queues q WHERE q.project = ?1 AND q.name = ?2
"""

# The first and the last of each pile.
ENDS: Final = " UNION ALL ".join(
    f"""
    SELECT * FROM (
        SELECT sequence, number FROM places
        WHERE generation = ?2 AND pile = {pile} AND +expires_at > ?1
        ORDER BY sequence {direction} LIMIT 1
    )"""
    for pile in (CLAIMED, DELAYED, FREE)
    for direction in ("ASC", "DESC")
)

MILESTONE: Final = "SELECT id, posted_at FROM messages WHERE number = ?"

LIVE_CLAIM: Final = """
    SELECT 1 FROM claims WHERE queue = ? AND id = ? AND ends_at > ?
"""

NEW_GENERATION: Final = "UPDATE queues SET generation = ? WHERE id = ? AND project = ? AND name = ?"

LAST: Final = f"""
    SELECT last_sequence, last_fence FROM places
    WHERE generation = ? AND pile = {LEDGER} AND sequence = 0
"""


class SQLiteMessages(MessageStore):
    def __init__(self, connection: Connection, announcements: Announcements) -> None:
        self._connection = connection
        self._announcements = announcements

    def post(
        self,
        queue: QueueRef,
        drafts: Sequence[Draft],
        *,
        client_id: str,
        token: str,
        version: str,
        now: float,
        idempotency: IdempotencyKey | None = None,
    ) -> Posted:
        asked = Post(queue, drafts, client_id, token, version, now, idempotency)
        posted = post(self._connection, asked)
        if not posted.replayed:
            self._announcements.tell_posted(queue, drafts)
        return posted

    def get(self, queue: QueueRef, ids: Sequence[str], *, now: float) -> list[Message]:
        found = []
        with self._connection.read(brief=True) as db:
            for id in dict.fromkeys(ids):
                asked = (now, first_number(id), PROBES - 1, id, *queue)
                row = db.execute(GET, asked).fetchone()
                if row is not None:
                    found.append(Message._make(row))
        return found

    def page(
        self,
        queue: QueueRef,
        *,
        after: int,
        limit: int,
        hide_client: str | None,
        include_claimed: bool,
        include_delayed: bool,
        now: float,
    ) -> list[Message]:
        with self._connection.read(whole=True) as db:
            row = db.execute(LOOK, (*queue, now)).fetchone()
            if row is None:
                return []
            generation, due, backlog = row
            rows = []
            for pile, shown in (
                (FREE, True),
                (CLAIMED, include_claimed),
                (DELAYED, include_delayed),
            ):
                if shown or due:
                    statement = PAGE if shown else PAGE_OF_DUE
                    asked = (now, generation, pile, after, hide_client, limit)
                    rows += db.execute(statement, asked).fetchall()
        if backlog:
            self._tidy(queue, now)
        page = [Message._make(row) for row in rows]
        page.sort(key=_sequence)
        return page[:limit]

    def delete(self, queue: QueueRef, id: str, *, claim_id: str | None, now: float) -> None:
        with self._connection.step() as db:
            current = queue_at(db, queue, now)
            place = current and find(db, current.generation, [id], now).get(id)
            if not current or not place:
                return
            if place.claim is not None and claim_id is None:
                raise MessageIsClaimed(id)
            if claim_id != place.claim:
                live = db.execute(LIVE_CLAIM, (current.id, claim_id, now)).fetchone()
                if place.claim is not None and live:
                    raise WrongClaim(id)
                raise ClaimExpired(id)
            remove(db, current.generation, [place])

    def delete_many(
        self, queue: QueueRef, ids: Sequence[str], *, claim_ids: Sequence[str] | None, now: float
    ) -> None:
        with self._connection.step() as db:
            current = queue_at(db, queue, now)
            if current is None:
                return
            found = find(db, current.generation, ids, now)
            if claim_ids is not None:
                for id, place in found.items():
                    if place.claim not in claim_ids:
                        raise WrongClaim(id)
            if found:
                remove(db, current.generation, found.values())

    def pop(self, queue: QueueRef, limit: int, *, token: str, now: float) -> list[Message]:
        with self._connection.step() as db:
            current = queue_at(db, queue, now)
            if current is None:
                return []
            tidy(db, current, now)
            rows = db.execute(OLDEST_FREE, (now, current.generation, limit)).fetchall()
            popped = [Message._make(row[:-1]) for row in rows]
            places = [Place(current.generation, FREE, row[1], row[-1]) for row in rows]
            if places:
                remove(db, current.generation, places)
            return popped

    def purge(self, queue: QueueRef, *, now: float) -> None:
        # However many there are: the queue gets a new generation, the old one is swept later.
        with self._connection.step() as db:
            current = queue_at(db, queue, now)
            if current is None:
                return
            (next_number,) = db.execute(NEW_NUMBERS, (1,)).fetchone()
            lasts = db.execute(LAST, (current.generation,)).fetchone()
            db.execute(NEW_LEDGER, (next_number - 1, *lasts))
            db.execute(NEW_GENERATION, (next_number - 1, current.id, *queue))
            db.execute(ABANDON, (current.generation,))

    def stats(self, queue: QueueRef, *, now: float) -> Stats:
        with self._connection.read(brief=True, whole=True) as db:
            row = db.execute(COUNTS, (*queue, now)).fetchone()
            if row is None:
                return Stats(0, 0)
            generation, total, claimed, expired, ended = row
            # What is expired is under no live claim: a claim keeps its messages alive.
            total -= expired
            claimed -= ended
            ends = db.execute(ENDS, (now, generation)).fetchall() if total else []
            milestones = [
                Milestone._make(db.execute(MILESTONE, (number,)).fetchone())
                for _, number in ([min(ends), max(ends)] if ends else [])
            ]
        if expired > BACKLOG or ended > BACKLOG:
            self._tidy(queue, now)
        return Stats(total - claimed, claimed, *milestones)

    def outlook(self, queue: QueueRef, *, limit: int, now: float) -> Outlook:
        with self._connection.read(brief=True) as db:
            row = db.execute(OUTLOOK, (*queue, now, limit)).fetchone()
        return Outlook(min(row[0], limit), row[1]) if row else Outlook(0, None)

    def dead_letters(self, queue: QueueRef, *, now: float) -> list[DeadLetter]:
        with self._connection.read(brief=True) as db:
            return list(dead_letters.pile(db, queue, now))

    def accept_dead_letters(
        self, queue: QueueRef, letters: Sequence[DeadLetter], *, now: float
    ) -> None:
        with self._connection.step() as db:
            dead_letters.accept(db, queue, letters, now)
        self._announcements.tell(queue, len(letters))

    def clear_dead_letters(self, queue: QueueRef, burials: Sequence[str], *, now: float) -> None:
        with self._connection.step() as db:
            dead_letters.clear(db, queue, burials)

    def _tidy(self, queue: QueueRef, now: float) -> None:
        """Take some of a backlog away which readers would walk past again and again.

        The answer does not need it, so it does not fail with it.
        """
        try:
            with self._connection.step() as db:
                current = queue_at(db, queue, now)
                if current:
                    tidy(db, current, now)
        except StorageUnavailable:
            pass


def _sequence(message: Message) -> int:
    return message.sequence
