"""Queues and their metadata in SQLite."""

from __future__ import annotations

from typing import Final

from queueing.core.errors import MetadataChanged, QueueNotFound
from queueing.core.models import EMPTY_METADATA, Metadata, QueueEntry, QueueRef
from queueing.storage.contract import QueueStore
from queueing.storage.sqlite.connection import Connection
from queueing.storage.sqlite.places import LEDGER, make_queue

FETCH: Final = """
    SELECT q.version, d.document, q.id FROM queues q LEFT JOIN documents d ON d.queue = q.id
    WHERE q.project = ? AND q.name = ?
"""

NEW_VERSION: Final = "UPDATE queues SET version = ? WHERE project = ? AND name = ?"

FORGET_DOCUMENT: Final = "DELETE FROM documents WHERE queue = ?"

PUT_DOCUMENT: Final = "INSERT INTO documents (queue, document) VALUES (?, ?)"

DELETE: Final = "DELETE FROM queues WHERE project = ? AND name = ? RETURNING id, generation"

ABANDON: Final = "INSERT INTO abandoned (generation) VALUES (?)"

GO: Final = f"""
    INSERT INTO gone (project, name, last_sequence, last_fence, forget_at)
    SELECT ?, ?, last_sequence, last_fence, ? FROM places
    WHERE generation = ? AND pile = {LEDGER} AND sequence = 0
"""

ONE_QUEUE_LESS: Final = "UPDATE projects SET queues = queues - 1 WHERE project = ?"

FORGET_PROJECT: Final = "DELETE FROM projects WHERE project = ? AND queues = 0"

PAGE: Final = """
    SELECT q.name, q.version, d.document FROM queues q LEFT JOIN documents d ON d.queue = q.id
    WHERE q.project = ? AND q.name > ? ORDER BY q.name LIMIT ?
"""

COUNT: Final = "SELECT queues FROM projects WHERE project = ?"

GONE_SECONDS: Final = 86_400
"""How long a queue that was deleted is remembered, for clocks that are set back meanwhile."""


class SQLiteQueues(QueueStore):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, queue: QueueRef, document: bytes, *, token: str, now: float) -> bool:
        with self._connection.read(brief=True) as db:
            if db.execute(FETCH, queue).fetchone():
                return False
        with self._connection.step() as db:
            if db.execute(FETCH, queue).fetchone():
                return False
            make_queue(db, queue, Metadata.of(document))
            return True

    def fetch(self, queue: QueueRef) -> Metadata | None:
        with self._connection.read(brief=True) as db:
            row = db.execute(FETCH, queue).fetchone()
        return None if row is None else Metadata(row[1] or EMPTY_METADATA, row[0])

    def replace(
        self, queue: QueueRef, document: bytes, *, expected: str, token: str, now: float
    ) -> None:
        with self._connection.step() as db:
            row = db.execute(FETCH, queue).fetchone()
            if row is None:
                raise QueueNotFound(queue.name)
            version, _, id = row
            if version != expected:
                raise MetadataChanged(queue.name)
            metadata = Metadata.of(document)
            db.execute(NEW_VERSION, (metadata.version, *queue))
            db.execute(FORGET_DOCUMENT, (id,))
            if metadata.version:
                db.execute(PUT_DOCUMENT, (id, document))

    def delete(self, queue: QueueRef, *, now: float) -> None:
        # Claims are left: none is found without its queue, and each is swept when it is over.
        with self._connection.step() as db:
            row = db.execute(DELETE, queue).fetchone()
            if row is None:
                return
            id, generation = row
            db.execute(FORGET_DOCUMENT, (id,))
            db.execute(GO, (*queue, now + GONE_SECONDS, generation))
            db.execute(ABANDON, (generation,))
            db.execute(ONE_QUEUE_LESS, (queue.project,))
            db.execute(FORGET_PROJECT, (queue.project,))

    def page(self, project: str, *, after: str, limit: int) -> list[QueueEntry]:
        with self._connection.read(brief=True) as db:
            rows = db.execute(PAGE, (project, after, limit)).fetchall()
        return [
            QueueEntry(name, Metadata(document or EMPTY_METADATA, version))
            for name, version, document in rows
        ]

    def count(self, project: str) -> int:
        with self._connection.read(brief=True) as db:
            row = db.execute(COUNT, (project,)).fetchone()
        return row[0] if row else 0
