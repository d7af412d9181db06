"""Dead letters: the pile of a queue, and what a queue accepts from the piles of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from queueing.core.models import DeadLetter, request_token
from queueing.storage.contract import BURIAL_SECONDS, DEAD_LETTERS_PER_STEP
from queueing.storage.mongodb.appending import Appending, InTheWay, attempts
from queueing.storage.mongodb.connection import BY_ID, Connection
from queueing.storage.mongodb.free import FreeMessages
from queueing.storage.mongodb.indexes import HOLDER, SERVICE
from queueing.storage.mongodb.keys import BURIAL, DEAD, POPPED, Document, QueueKey
from queueing.storage.mongodb.ledger import Ledger
from queueing.storage.mongodb.records import SHOWN, accepted, exists, letter_of, sweep_at
from queueing.storage.mongodb.reserving import Busy, Reservations, WasVoided

MARK = {"a": "letters"}
"""One forward at a time is accepted by a queue: so none is accepted twice."""


class Seen(NamedTuple):
    """What a queue has of the letters that it is to accept."""

    ledger: Ledger
    new: list[DeadLetter]  # those whose burial it does not remember
    fit: list[DeadLetter]  # those of them that a message can be made of
    in_the_way: list[Document]  # documents with their ids that do not count any more, or not here


class Letters:
    def __init__(
        self,
        connection: Connection,
        reservations: Reservations,
        appending: Appending,
        free: FreeMessages,
    ) -> None:
        self._connection = connection
        self._reservations = reservations
        self._appending = appending
        self._free = free

    def pile(self, key: QueueKey, now: float) -> list[DeadLetter]:
        found = self._connection.some(
            key.all(s=DEAD, exp={"$gt": now}),
            SHOWN,
            sort=[("due", 1), ("seq", 1)],
            limit=DEAD_LETTERS_PER_STEP,
            hint=SERVICE,
        )
        # One that was just put aside may be there twice.
        return list({one["c"]: letter_of(one, now) for one in found}.values())

    def clear(self, key: QueueKey, burials: Sequence[str]) -> None:
        if not burials:
            return
        match = key.all(c={"$in": list(burials)}, s=DEAD)
        self._connection.delete(match, HOLDER)

    def accept(self, key: QueueKey, letters: Sequence[DeadLetter], now: float) -> None:
        """As one post: burials and messages under one reservation."""
        if not letters:
            return
        once: dict[str, DeadLetter] = {}
        for letter in letters:
            once.setdefault(letter.burial, letter)
        for name in attempts(request_token()):
            seen = self._look(key, list(once.values()), now)
            if not seen.new:
                return
            try:
                # Room for all, though not each may fit: all burials are to be remembered.
                taken, before = self._reservations.reserve_only(
                    key, len(seen.new), name, version=None, now=now, only=MARK
                )
            except Busy as busy:
                self._reservations.settle(key, list(busy.ledger.open), now)
                continue
            except WasVoided:
                continue
            # From here on nobody else accepts: what we see is so until this is done.
            if before != seen.ledger.last:
                seen = self._look(key, seen.new, now)
                if not seen.new:
                    self._reservations.cancel(key, taken, before)
                    return
            for document in seen.in_the_way:
                self._make_room(key, document)
            documents = [_remember(key, letter, taken.first, now) for letter in seen.new]
            documents += [
                accepted(key, letter.message, sequence)
                for sequence, letter in enumerate(seen.fit, taken.first)
            ]
            try:
                if self._appending.write(key, taken, documents, now):
                    return
            except InTheWay:
                continue

    def _look(self, key: QueueKey, letters: Sequence[DeadLetter], now: float) -> Seen:
        asked = [key.burial(letter.burial) for letter in letters]
        asked += [key.message(letter.message.id) for letter in letters]
        while True:
            documents = self._connection.some(key.some([key.id, *asked]), {"doc": 0})
            found = {document["_id"]: document for document in documents}
            ledger = Ledger.of(found.pop(key.id, None))
            # What another is about to accept is neither there nor not there: it may die of it.
            unfinished = [
                reservation
                for reservation in ledger.open
                if any(reservation.holds(document["seq"]) for document in found.values())
            ]
            if not unfinished:
                break
            self._reservations.settle(key, unfinished, now)
        new: list[DeadLetter] = []
        fit: dict[str, DeadLetter] = {}
        in_the_way: dict[str, Document] = {}
        for letter in letters:
            burial = found.get(key.burial(letter.burial))
            if burial and burial["exp"] > now and not ledger.voids(burial["seq"]):
                continue
            new.append(letter)
            message = letter.message
            there = found.get(key.message(message.id))
            if message.expires_at > now and not (there and exists(there, ledger, now)):
                fit.setdefault(message.id, letter)
                if there:
                    in_the_way[there["_id"]] = there
            if burial:
                in_the_way[burial["_id"]] = burial
        return Seen(ledger, new, list(fit.values()), list(in_the_way.values()))

    def _make_room(self, key: QueueKey, document: Document) -> None:
        """Put aside what a pop may still be asked for and what lies on the pile; delete the rest."""
        if document["s"] in (POPPED, DEAD):
            reason = document["due"] if document["s"] == POPPED else document["c"]
            aside = key.put_aside(document["_id"].rpartition("/")[2], reason)
            rest = {name: value for name, value in document.items() if name != "_id"}
            self._connection.again(
                lambda: self._connection.documents.update_one(
                    key.one(aside),
                    {"$setOnInsert": _without_key(rest)},
                    upsert=True,
                    hint=BY_ID,
                )
            )
        self._free.discard(key, [document["_id"]], seq=document["seq"], s=document["s"])


def _without_key(document: Document) -> Document:
    return {name: value for name, value in document.items() if name not in ("q", "p")}


def _remember(key: QueueKey, letter: DeadLetter, sequence: int, now: float) -> Document:
    over = now + BURIAL_SECONDS
    return {
        "_id": key.burial(letter.burial),
        "q": key.name,
        "p": key.project,
        "s": BURIAL,
        "due": 0,
        "seq": sequence,
        "exp": over,
        "x": sweep_at(over),
    }
