"""Messages: appended as `appending.py` says, read under what the queue's ledger shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from queueing.core.errors import ClaimExpired, MessageIsClaimed, WrongClaim
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
from queueing.storage.mongodb.connection import Connection
from queueing.storage.mongodb.crowds import Crowds
from queueing.storage.mongodb.free import IN_ORDER_OF_SEQUENCE, FreeMessages
from queueing.storage.mongodb.indexes import SEQUENCE, SERVICE
from queueing.storage.mongodb.keys import (
    CLAIMED,
    DEAD,
    DELAYED,
    FREE,
    LIVE,
    Document,
    QueueKey,
    is_id,
    message_id,
)
from queueing.storage.mongodb.ledger import NO_DOCUMENT, Ledger, Ledgers, within
from queueing.storage.mongodb.letters import Letters
from queueing.storage.mongodb.line import Line
from queueing.storage.mongodb.popping import Popping, Pops
from queueing.storage.mongodb.posting import Posting
from queueing.storage.mongodb.records import SHOWN, exists, message_of
from queueing.storage.mongodb.reserving import Reservations
from queueing.storage.mongodb.sweeping import Sweeping

FREE_STATES: Final = [DELAYED, FREE]


class MongoMessages(MessageStore):
    def __init__(
        self,
        connection: Connection,
        ledgers: Ledgers,
        reservations: Reservations,
        posting: Posting,
        free: FreeMessages,
        letters: Letters,
        sweeping: Sweeping,
        line: Line,
        crowds: Crowds,
    ) -> None:
        self._connection = connection
        self._ledgers = ledgers
        self._reservations = reservations
        self._posting = posting
        self._free = free
        self._letters = letters
        self._sweeping = sweeping
        self._crowds = crowds
        self._pops = Pops(connection, ledgers, line, free)

    # Posting

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
        key = QueueKey.of(queue)
        with self._connection.verb():
            if idempotency is None:
                return self._posting.post(
                    key, drafts, client_id=client_id, token=token, version=version, now=now
                )
            return self._posting.post_once(
                key,
                drafts,
                client_id=client_id,
                token=token,
                version=version,
                now=now,
                idempotency=idempotency,
            )

    # Reading

    def get(self, queue: QueueRef, ids: Sequence[str], *, now: float) -> list[Message]:
        key = QueueKey.of(queue)
        wanted = [key.message(id) for id in dict.fromkeys(ids) if is_id(id)]
        if not wanted:
            return []
        with self._connection.verb():
            # In one query, in the order of `_id`: so the ledger is read before the messages, and
            # what it does not show yet is left out.
            found = self._connection.some(
                key.some([key.id, *wanted]), SHOWN | NO_DOCUMENT, sort=[("_id", 1)]
            )
        by_id = {document["_id"]: document for document in found}
        ledger = Ledger.of(by_id.get(key.id))
        there = [by_id[id] for id in wanted if id in by_id]
        return [message_of(one, now) for one in there if exists(one, ledger, now)]

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
        key = QueueKey.of(queue)
        states = [FREE]
        hidden: list[int] = []
        for state, included in [(CLAIMED, include_claimed), (DELAYED, include_delayed)]:
            (states if included else hidden).append(state)
        shown: list[Document] = []
        with self._connection.verb():
            ledger = self._ledgers.read(key)
            end = ledger.last
            in_the_way = ledger.in_the_way(after, end)
            # First what lies before the posts that are not finished, in the hope that it is enough.
            up_to = min((r.first - 1 for r in in_the_way), default=end)
            while True:
                bounds = ledger.bounds(after, up_to)
                if bounds:
                    match = within(bounds) | {"exp": {"$gt": now}}
                    if hide_client is not None:
                        match["u"] = {"$ne": hide_client}
                    room = limit - len(shown)
                    shown += self._shown(key, states, hidden, match, room, now)
                if up_to == end or len(shown) == limit:
                    break
                ledger = self._reservations.settle(key, in_the_way, now)
                after, up_to = up_to, end
        return [message_of(document, now) for document in shown]

    def _shown(
        self,
        key: QueueKey,
        states: list[int],
        hidden: list[int],
        match: Document,
        limit: int,
        now: float,
    ) -> list[Document]:
        """The first that are in one of the states, or would not be in a hidden one if brought back.

        A reader brings nothing back: his `now` may be ahead of those who claim.
        """
        found = self._connection.some(
            key.all(s={"$in": states} if len(states) > 1 else states[0]) | match,
            SHOWN,
            sort=IN_ORDER_OF_SEQUENCE,
            limit=limit,
            hint=SEQUENCE,
        )
        if hidden:
            due = self._connection.some(
                key.all(s={"$in": hidden}, due={"$lte": now}) | match,
                SHOWN,
                sort=IN_ORDER_OF_SEQUENCE,
                limit=limit,
                hint=SERVICE,
            )
            if due:
                found = sorted(found + due, key=lambda document: document["seq"])[:limit]
        return found

    def outlook(self, queue: QueueRef, *, limit: int, now: float) -> Outlook:
        key = QueueKey.of(queue)
        with self._connection.verb():
            return self._free.outlook(key, limit, now)

    def stats(self, queue: QueueRef, *, now: float) -> Stats:
        key = QueueKey.of(queue)
        with self._connection.verb():
            bounds = self._ledgers.read(key).bounds()
            if not bounds:
                return Stats(0, 0)
            there = key.all(s={"$in": LIVE}, exp={"$gt": now}) | within(bounds)
            held = key.all(s=CLAIMED, due={"$gt": now}, exp={"$gt": now}) | within(bounds)
            total = self._connection.count(there, SEQUENCE)
            claimed = min(self._connection.count(held, SERVICE), total) if total else 0
            ends = [self._end(there, direction, now) for direction in (1, -1)] if total else []
        return Stats(total - claimed, claimed, *ends)

    def _end(self, match: Document, direction: int, now: float) -> Milestone | None:
        found = self._connection.some(
            match, {"at": 1}, sort=[("seq", direction)], limit=1, hint=SEQUENCE
        )
        return Milestone(message_id(found[0]["_id"]), found[0]["at"]) if found else None

    # Deleting

    def delete(self, queue: QueueRef, id: str, *, claim_id: str | None, now: float) -> None:
        if not is_id(id):
            return
        key = QueueKey.of(queue)
        match = key.one(key.message(id), exp={"$gt": now})
        if claim_id is None:
            match["$or"] = [{"s": {"$in": FREE_STATES}}, {"s": CLAIMED, "due": {"$lte": now}}]
        else:
            match |= {"s": CLAIMED, "c": claim_id if is_id(claim_id) else "", "due": {"$gt": now}}
        with self._connection.verb():
            if not self._connection.delete(match):
                self._refuse(key, id, claim_id, now)

    def _refuse(self, key: QueueKey, id: str, claim_id: str | None, now: float) -> None:
        """Say why a message was not deleted; nothing if it is missing."""
        asked = [key.id, key.message(id)]
        if claim_id and is_id(claim_id):
            asked.append(key.claim(claim_id))
        found = {
            document["_id"]: document
            for document in self._connection.some(key.some(asked), {"doc": 0, "b": 0})
        }
        ledger = Ledger.of(found.get(key.id))
        message = found.get(key.message(id))
        if message is None or not exists(message, ledger, now):
            return
        held = message["s"] == CLAIMED and message["due"] > now
        if claim_id is None:
            if held:
                raise MessageIsClaimed(id)
            return
        if held and ledger.lets_claim_live(found.get(key.claim(claim_id)), now):
            raise WrongClaim(id)
        raise ClaimExpired(id)

    def delete_many(
        self, queue: QueueRef, ids: Sequence[str], *, claim_ids: Sequence[str] | None, now: float
    ) -> None:
        key = QueueKey.of(queue)
        wanted = [key.message(id) for id in dict.fromkeys(ids) if is_id(id)]
        if not wanted:
            return
        match = key.some(wanted, s={"$in": LIVE})
        with self._connection.verb():
            if claim_ids is not None:
                held = self._held_by(key, wanted, claim_ids, now)
                if not held:
                    return
                # All were held when we looked, so all go: also one whose claim ran out since, by the
                # time of another node that has taken it again. By sequence, so not what is new.
                states = {"$in": [DEAD, *LIVE]}
                match = key.some(held, s=states, seq={"$in": list(held.values())})
            self._connection.delete(match)

    def _held_by(
        self, key: QueueKey, wanted: Sequence[str], claim_ids: Sequence[str], now: float
    ) -> dict[str, int]:
        """The sequences of those that exist.

        :raises WrongClaim: one of them is under none of the claims
        """
        documents = self._connection.some(key.some([key.id, *wanted]), {"doc": 0, "b": 0})
        found = {document["_id"]: document for document in documents}
        ledger = Ledger.of(found.pop(key.id, None))
        there = [document for document in found.values() if exists(document, ledger, now)]
        for document in there:
            held = document["s"] == CLAIMED and document["due"] > now
            if not held or document["c"] not in claim_ids:
                raise WrongClaim(message_id(document["_id"]))
        return {document["_id"]: document["seq"] for document in there}

    def pop(self, queue: QueueRef, limit: int, *, token: str, now: float) -> list[Message]:
        popping = Popping(QueueKey.of(queue), limit, token, now)
        with self._connection.verb():
            self._crowds.serve(popping.key.id, popping, self._connection.deadline, self._pops.pop)
        assert popping.answer is not None
        return popping.answer

    def purge(self, queue: QueueRef, *, now: float) -> None:
        key = QueueKey.of(queue)
        with self._connection.verb():
            ledger = self._ledgers.read(key)
            if not ledger.alive:
                return
            floor = {"$max": {"floor": ledger.last}, "$set": {"chore": now}}
            self._connection.update(key.itself(), floor)
            self._sweeping.empty(key, ledger.last)

    # Dead letters

    def dead_letters(self, queue: QueueRef, *, now: float) -> list[DeadLetter]:
        with self._connection.verb():
            return self._letters.pile(QueueKey.of(queue), now)

    def accept_dead_letters(
        self, queue: QueueRef, letters: Sequence[DeadLetter], *, now: float
    ) -> None:
        with self._connection.verb():
            self._letters.accept(QueueKey.of(queue), letters, now)

    def clear_dead_letters(self, queue: QueueRef, burials: Sequence[str], *, now: float) -> None:
        with self._connection.verb():
            self._letters.clear(QueueKey.of(queue), burials)
