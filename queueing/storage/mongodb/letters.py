"""Dead letters: the pile of a queue, and what a queue accepts from the piles of others."""

from __future__ import annotations

from collections.abc import Sequence

from queueing.core.models import DeadLetter, request_token
from queueing.storage.contract import BURIAL_SECONDS, DEAD_LETTERS_PER_STEP
from queueing.storage.mongodb.appending import Appending, InTheWay, attempts
from queueing.storage.mongodb.connection import BY_ID, Connection
from queueing.storage.mongodb.free import FreeMessages
from queueing.storage.mongodb.indexes import HOLDER, SERVICE
from queueing.storage.mongodb.keys import BURIAL, DEAD, POPPED, Document, QueueKey
from queueing.storage.mongodb.ledger import Busy, Ledger, Ledgers, WasVoided
from queueing.storage.mongodb.records import SHOWN, accepted, exists, letter_of, sweep_at

MARK = {"a": "letters"}
"""One forward at a time is accepted by a queue: so none is accepted twice."""


class Letters:
    def __init__(
        self, connection: Connection, ledgers: Ledgers, appending: Appending, free: FreeMessages
    ) -> None:
        self._connection = connection
        self._ledgers = ledgers
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
            ledger, new, fit = self._look(key, list(once.values()), now)
            if not new:
                return
            try:
                # Where no message fits, the burials still are to be remembered, and the queue made.
                taken, before = self._ledgers.reserve(
                    key, len(fit), name, version=None, now=now, only=MARK
                )
            except Busy as busy:
                self._ledgers.settle(key, list(busy.ledger.open), now)
                continue
            except WasVoided:
                continue
            if before != ledger.last:
                self._ledgers.cancel(key, taken, before)
                continue
            documents = [_remember(key, letter, taken.first, now) for letter in new]
            documents += [
                accepted(key, letter.message, sequence)
                for sequence, letter in enumerate(fit, taken.first)
            ]
            try:
                if self._appending.write(key, taken, documents, now):
                    return
            except InTheWay:
                continue

    def _look(
        self, key: QueueKey, letters: Sequence[DeadLetter], now: float
    ) -> tuple[Ledger, list[DeadLetter], list[DeadLetter]]:
        """The letters whose burial is not remembered, and those of them that a message can be made of.

        Makes room for these, where documents that are no message now have their ids.
        """
        asked = [key.burial(letter.burial) for letter in letters]
        asked += [key.message(letter.message.id) for letter in letters]
        documents = self._connection.some(key.some([key.id, *asked]), {"doc": 0})
        found = {document["_id"]: document for document in documents}
        ledger = Ledger.of(found.get(key.id))
        new = []
        for letter in letters:
            burial = found.get(key.burial(letter.burial))
            if burial and burial["exp"] > now and not ledger.voids(burial["seq"]):
                continue
            if burial:
                self._free.discard(key, [burial["_id"]], seq=burial["seq"])
            new.append(letter)
        fit: dict[str, DeadLetter] = {}
        for letter in new:
            message = letter.message
            there = found.get(key.message(message.id))
            if message.expires_at > now and (not there or not exists(there, ledger, now)):
                if there and message.id not in fit:
                    self._make_room(key, there)
                fit.setdefault(message.id, letter)
        return ledger, new, list(fit.values())

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
