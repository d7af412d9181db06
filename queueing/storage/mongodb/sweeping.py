"""Taking away what does not count any more. Only for space: no answer depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from queueing.storage.mongodb.connection import Connection
from queueing.storage.mongodb.keys import APPENDED, LIVE, Document, QueueKey
from queueing.storage.mongodb.ledger import NO_DOCUMENT, VOID_SECONDS, Ledger
from queueing.storage.mongodb.records import ref_of, swept_by

STEP: Final = 1000
"""How many documents one verb clears away itself; the rest is left to `collect`."""

GONE_SECONDS: Final = 2 * 86_400
"""How long a deleted queue's numbers are kept: by then the time has passed them on every node."""


class Sweeping:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def collect(self, now: float, limit: int) -> int:
        swept = self._delete({"x": {"$lte": swept_by(now)}}, limit)
        if swept >= limit:
            return swept
        queues = self._connection.some(
            {"chore": {"$lte": now}}, NO_DOCUMENT, sort=[("chore", 1)], limit=limit - swept
        )
        for document in queues:
            swept += 1 + self._do_chores(document, now, limit)
            if swept >= limit:
                break
        return swept

    def empty(self, key: QueueKey, floor: int, limit: int = STEP) -> int:
        """Delete messages up to this sequence, but not the dead: how many."""
        return self._delete(key.all(s={"$in": LIVE}, seq={"$lte": floor}), limit)

    def _do_chores(self, document: Document, now: float, limit: int) -> int:
        key = QueueKey.of(ref_of(document))
        ledger = Ledger.of(document)
        swept = self.empty(key, ledger.floor, limit)
        if swept >= limit:
            return swept
        for reservation in ledger.void:
            match = key.all(
                s={"$in": APPENDED}, seq={"$gte": reservation.first, "$lte": reservation.last}
            )
            swept += self._delete(match, limit)
            if swept >= limit:
                return swept
        # Whoever finds something new to do here sets another time, and then this comes to nothing.
        match = key.itself(chore=document["chore"])
        old = [entry["t"] for entry in document["void"] if entry["at"] + VOID_SECONDS <= now]
        if not ledger.alive and _may_go(document, now):
            match |= {"alive": False, "last": ledger.last, "fence": ledger.fence}
            self._connection.delete(match)
            return swept
        later = [entry["at"] + VOID_SECONDS for entry in document["void"] if entry["t"] not in old]
        if not ledger.alive:
            later.append(document["gone"] + GONE_SECONDS)
        change: Document = {"$set": {"chore": min(later)}} if later else {"$unset": {"chore": ""}}
        if old:
            change["$pull"] = {"void": {"t": {"$in": old}}}
        self._connection.update(match, change)
        return swept

    def _delete(self, match: Mapping[str, Any], limit: int) -> int:
        """Delete up to `limit` of the documents that fit."""
        found = self._connection.some(match, {"_id": 1}, limit=limit)
        if not found:
            return 0
        still = {**match, "_id": {"$in": [document["_id"] for document in found]}}
        return self._connection.delete(still)


def _may_go(document: Document, now: float) -> bool:
    settled = not document["open"] and not document["void"]
    return settled and document["gone"] + GONE_SECONDS <= now
