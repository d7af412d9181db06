"""What is free in a queue, and bringing back what has waited long enough.

One query looks at the head of a queue in the order of the index: what the same request has taken
already, the dead pile, what is due, what is free. When all that it meets is free (nearly always),
nothing else needs to be asked. Its branches stand alone, each with the whole shard key, so that each
is a range of the index and the server merges them; a filter outside of them would let it scan what
waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from queueing.core.models import Outlook
from queueing.storage.contract import DUE_PER_STEP
from queueing.storage.mongodb.connection import BY_ID, Connection
from queueing.storage.mongodb.indexes import SERVICE
from queueing.storage.mongodb.keys import (
    CLAIM,
    CLAIMED,
    DEAD,
    DELAYED,
    FREE,
    POPPED,
    WAITING,
    Document,
    QueueKey,
)
from queueing.storage.mongodb.ledger import Bounds, Ledger, within
from queueing.storage.mongodb.records import SHOWN

IN_ORDER_OF_SERVICE: Final = [("s", 1), ("due", 1), ("seq", 1)]
IN_ORDER_OF_SEQUENCE: Final = [("seq", 1)]
IN_ORDER_OF_WAITING: Final = [("due", 1), ("seq", 1)]

LIFETIME: Final = {"seq": 1, "exp": 1}
DUE: Final = {"due": 1, "_id": 0}


class Look(NamedTuple):
    """What lies at the head of a queue."""

    free: list[Document]
    taken: list[Document]  # what these tokens have made already: claims, or what they popped
    has_pile: bool


class FreeMessages:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def look(
        self,
        key: QueueKey,
        limit: int,
        *,
        claims: Sequence[str] = (),
        pops: Sequence[str] = (),
        now: float,
    ) -> Look:
        """Up to `limit` of the oldest free messages, for claims or pops with these tokens."""
        branches: list[Document] = [{"s": POPPED, "due": token} for token in pops]
        branches += [{"s": CLAIM, "due": token} for token in claims]
        if claims:
            branches.append({"s": DEAD})
        branches += [{"s": state, "due": {"$lte": now}} for state in (CLAIMED, DELAYED)]
        branches.append({"s": FREE, "due": 0})
        found = self._connection.some(
            {"$or": [key.all(**branch) for branch in branches]},
            SHOWN,
            sort=IN_ORDER_OF_SERVICE,
            limit=limit,
            hint=SERVICE,
        )
        taken = [document for document in found if document["s"] < DEAD]
        if taken:
            return Look([], taken, False)
        if all(document["s"] == FREE and document["exp"] > now for document in found):
            return Look(found, [], False)
        self.bring_back(key, now)
        has_pile = any(document["s"] == DEAD for document in found)
        return Look(self.oldest(key, limit, now), [], has_pile)

    def outlook(self, key: QueueKey, limit: int, now: float) -> Outlook:
        """What waits, soonest first, of both kinds; what is purged and not swept counts."""
        here = [key.all(s=state, due={"$lte": now}) for state in WAITING]
        here.append(key.all(s=FREE, due=0))
        free = self._connection.some({"$or": here}, DUE, limit=limit, hint=SERVICE)
        later = [
            self._connection.some(
                key.all(s=state, due={"$gt": now}), DUE, sort=[("due", 1)], limit=1, hint=SERVICE
            )
            for state in WAITING
        ]
        ends = [document["due"] for found in later for document in found]
        return Outlook(len(free), min(ends, default=None))

    def bring_back(self, key: QueueKey, now: float) -> None:
        """Free what is due, the longest over first; take away what has expired meanwhile."""
        due = self._connection.some(
            key.all(s={"$in": WAITING}, due={"$lte": now}),
            LIFETIME,
            sort=IN_ORDER_OF_WAITING,
            limit=DUE_PER_STEP,
            hint=SERVICE,
        )
        over = [document["_id"] for document in due if document["exp"] <= now]
        back = [document["_id"] for document in due if document["exp"] > now]
        self.discard(key, over, exp={"$lte": now})
        if back:
            self._connection.again(
                lambda: self._connection.documents.update_many(
                    key.some(back, s={"$in": WAITING}, due={"$lte": now}),
                    {"$set": {"s": FREE, "due": 0}, "$unset": {"c": ""}},
                    hint=BY_ID,
                )
            )

    def oldest(
        self, key: QueueKey, limit: int, now: float, bounds: list[Bounds] | None = None
    ) -> list[Document]:
        """Up to `limit` of the oldest free messages, where those that are due were brought back.

        Those that have expired are in its way until they are swept: it takes its share of them away.
        """
        match = key.all(s=FREE, due=0)
        if bounds is not None:
            if not bounds:
                return []
            match |= within(bounds)
        free = self._connection.some(
            match, SHOWN, sort=IN_ORDER_OF_SEQUENCE, limit=limit, hint=SERVICE
        )
        if all(document["exp"] > now for document in free):
            return free
        over = self._connection.some(
            match | {"exp": {"$lte": now}},
            LIFETIME,
            sort=IN_ORDER_OF_SEQUENCE,
            limit=DUE_PER_STEP,
            hint=SERVICE,
        )
        self.discard(key, [document["_id"] for document in over], exp={"$lte": now})
        return self._connection.some(
            match | {"exp": {"$gt": now}},
            SHOWN,
            sort=IN_ORDER_OF_SEQUENCE,
            limit=limit,
            hint=SERVICE,
        )

    def discard(self, key: QueueKey, ids: list[str], **only: Any) -> None:
        """Delete documents that do not count any more."""
        if ids:
            self._connection.delete(key.some(ids, **only))

    def discard_hidden(self, key: QueueKey, documents: list[Document], ledger: Ledger) -> None:
        """Delete those that were purged, deleted with the queue, or are of a post that was taken back.

        Not those of a post that is not finished.
        """
        hidden = {
            document["_id"]: document["seq"]
            for document in documents
            if document["seq"] <= ledger.floor or ledger.voids(document["seq"])
        }
        # By sequence too: a post that began again has the same ids under others.
        self.discard(key, list(hidden), seq={"$in": list(hidden.values())})
