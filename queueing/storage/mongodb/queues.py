"""Queues and their metadata: the queues' own documents."""

from __future__ import annotations

from typing import Final

from queueing.core.errors import MetadataChanged, QueueNotFound
from queueing.core.models import EMPTY_METADATA, Metadata, QueueEntry, QueueRef, metadata_version
from queueing.storage.contract import QueueStore
from queueing.storage.mongodb.connection import Connection
from queueing.storage.mongodb.indexes import NAMES
from queueing.storage.mongodb.keys import QueueKey
from queueing.storage.mongodb.ledger import CHANGES_REMEMBERED, Ledgers, blank
from queueing.storage.mongodb.sweeping import Sweeping

METADATA: Final = {"doc": 1, "version": 1}


class MongoQueues(QueueStore):
    def __init__(self, connection: Connection, ledgers: Ledgers, sweeping: Sweeping) -> None:
        self._connection = connection
        self._ledgers = ledgers
        self._sweeping = sweeping

    def create(self, queue: QueueRef, document: bytes, *, token: str, now: float) -> bool:
        key = QueueKey.of(queue)
        made = {
            "alive": True,
            "doc": document,
            "version": metadata_version(document),
            "born": token,
        }
        with self._connection.verb():
            if self._ledgers.insert(blank(key) | made):
                return True
            if self._connection.update(
                key.itself(alive=False, born={"$ne": token}), {"$set": made}
            ):
                return True
            return self._ledgers.read(key).born == token  # done already

    def fetch(self, queue: QueueRef) -> Metadata | None:
        with self._connection.verb():
            return self._ledgers.metadata(QueueKey.of(queue))

    def replace(
        self, queue: QueueRef, document: bytes, *, expected: str, token: str, now: float
    ) -> None:
        key = QueueKey.of(queue)
        change = {
            "$set": {"doc": document, "version": metadata_version(document)},
            "$push": {"changes": {"$each": [token], "$slice": -CHANGES_REMEMBERED}},
        }
        match = key.itself(alive=True, version=expected, changes={"$ne": token})
        with self._connection.verb():
            if self._connection.update(match, change):
                return
            found = self._connection.one(key.itself(alive=True), {"changes": 1})
            if found is None:
                raise QueueNotFound(queue.name)
            if token not in found["changes"]:
                raise MetadataChanged(queue.name)

    def delete(self, queue: QueueRef, *, now: float) -> None:
        key = QueueKey.of(queue)
        with self._connection.verb():
            while True:
                ledger = self._ledgers.read(key)
                if not ledger.alive:
                    return
                # Only if nothing was given out since: what was is gone, what will be is of a new queue.
                match = key.itself(
                    alive=True, born=ledger.born, last=ledger.last, fence=ledger.fence
                )
                gone = {
                    "alive": False,
                    "doc": EMPTY_METADATA,
                    "version": "",
                    "floor": ledger.last,
                    "claim_floor": ledger.fence,
                    "gone": now,
                    "chore": now,
                }
                if self._connection.update(match, {"$set": gone}):
                    break
            self._sweeping.empty(key, ledger.last)

    def page(self, project: str, *, after: str, limit: int) -> list[QueueEntry]:
        with self._connection.verb():
            found = self._connection.some(
                {"alive": True, "p": project, "q": {"$gt": after}},
                METADATA | {"q": 1},
                sort=[("q", 1)],
                limit=limit,
                hint=NAMES,
            )
        return [QueueEntry(one["q"], Metadata(one["doc"], one["version"])) for one in found]

    def count(self, project: str) -> int:
        match = {"alive": True, "p": project}
        with self._connection.verb():
            return self._connection.count(match, NAMES)
