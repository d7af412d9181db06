"""Appending to a queue: all or nothing, in order, once.

Three stations, two round trips:

1. Reserve: one update of the queue's own document gives out the sequences and notes them as open.
2. Write the documents under these sequences and, behind them in the same command, close the
   reservation. Only the closing makes anything visible.

A command is not atomic, but it is done in order and the closing comes last: whenever the poster, its
connection or the primary dies, the reservation is either closed, and all is there, or open. An open
one is taken back (made void) by whoever cannot wait any longer; closing and taking back are both an
update that needs it to be open, so exactly one of them happens. What was written under a void
reservation never counts, and is swept.

So an unknown outcome is no riddle: take the reservation back. If that succeeds nothing was done and
the post begins again, under new sequences; if not, it was closed and is done.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from queueing.core.errors import StorageUnavailable
from queueing.storage.mongodb.announcing import Announcements
from queueing.storage.mongodb.connection import BY_ID, DUPLICATE_KEY, Connection, passes
from queueing.storage.mongodb.keys import Document, QueueKey
from queueing.storage.mongodb.ledger import Ledgers, Reservation
from queueing.storage.mongodb.reserving import PAUSE_SECONDS, Reservations, closing

ATTEMPTS: Final = 20


class InTheWay(Exception):
    """Documents with these ids are there already; nothing was done."""


def attempts(token: str) -> Iterator[str]:
    """The names under which a post may reserve, one after the other."""
    for number in range(ATTEMPTS):
        yield f"{token}.{number}"
    raise StorageUnavailable("The store takes posts back faster than they are made.")


class Appending:
    def __init__(
        self,
        connection: Connection,
        ledgers: Ledgers,
        reservations: Reservations,
        announcements: Announcements,
    ) -> None:
        self._connection = connection
        self._ledgers = ledgers
        self._reservations = reservations
        self._announcements = announcements

    def write(
        self, key: QueueKey, taken: Reservation, documents: list[Document], now: float
    ) -> bool:
        """Write the documents and close the reservation; False if it was taken back.

        :raises InTheWay: some of them are there already, under other sequences
        """
        followed = self._announcements.begin(key.ref)
        done = False
        try:
            done = self._write(key, taken, documents, now)
        finally:
            self._announcements.end(followed, done=done)
        return done

    def _write(
        self, key: QueueKey, taken: Reservation, documents: list[Document], now: float
    ) -> bool:
        updates = [
            # If it is there under this sequence it is ours; under another this is an error.
            UpdateOne(
                {"_id": document["_id"], "q": key.name, "p": key.project, "seq": document["seq"]},
                {"$setOnInsert": _rest(document)},
                upsert=True,
                hint=BY_ID,
            )
            for document in documents
        ]
        updates.append(UpdateOne(*closing(key, taken), hint=BY_ID))
        try:
            written = self._connection.documents.bulk_write(updates)
        except BulkWriteError as error:
            codes = {refused["code"] for refused in error.details["writeErrors"]}
            if codes == {DUPLICATE_KEY}:
                self.take_back(key, taken, documents, now)
                raise InTheWay from None
            if not passes(error):
                raise
            return self._decide(key, taken, documents, now)
        except PyMongoError as error:
            if not passes(error):
                raise
            return self._decide(key, taken, documents, now)
        if written.matched_count:  # nothing but the closing matches what was there before
            return True
        self.take_back(key, taken, documents, now)
        return False

    def _decide(
        self, key: QueueKey, taken: Reservation, documents: list[Document], now: float
    ) -> bool:
        """What became of a command that was not answered: done, or now taken back."""
        while True:
            voided = self._reservations.void(key, taken, now)
            ledger = self._ledgers.read(key)
            if any(reservation.name == taken.name for reservation in ledger.open):
                time.sleep(PAUSE_SECONDS)  # the closing is done, but no majority has it yet
                continue
            if not voided and not any(r.name == taken.name for r in ledger.void):
                return True
            self.take_back(key, taken, documents, now)
            return False

    def take_back(
        self, key: QueueKey, taken: Reservation, documents: list[Document], now: float
    ) -> None:
        """Make what was written under a reservation void, and delete it.

        Also where it was closed: a server that goes on after an error within a command closes.
        """
        self._reservations.void(key, taken, now)
        ids = [document["_id"] for document in documents]
        match = key.some(ids, seq={"$gte": taken.first, "$lte": taken.last})
        self._connection.delete(match)


def _rest(document: Document) -> dict[str, Any]:
    in_match = ("_id", "q", "p", "seq")
    return {field: value for field, value in document.items() if field not in in_match}
