"""Pops: marked as claims are, without a document of their own. What a pop took names its token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pymongo import UpdateMany, UpdateOne

from queueing.core.models import Message
from queueing.storage.contract import RETRY_SECONDS
from queueing.storage.mongodb.claiming import SAME_TIME_SECONDS
from queueing.storage.mongodb.connection import BY_ID, Connection, Update
from queueing.storage.mongodb.crowds import Wish
from queueing.storage.mongodb.free import FreeMessages
from queueing.storage.mongodb.indexes import SERVICE
from queueing.storage.mongodb.keys import FREE, POPPED, Document, QueueKey
from queueing.storage.mongodb.ledger import Ledgers
from queueing.storage.mongodb.line import Line, leaving
from queueing.storage.mongodb.records import SHOWN, message_of, sweep_at


@dataclass(eq=False)
class Popping(Wish):
    """One pop being made."""

    key: QueueKey
    limit: int
    token: str
    now: float
    answer: list[Message] | None = None
    taken: dict[str, Document] = field(default_factory=dict)

    @property
    def served(self) -> bool:
        return self.answer is not None

    @property
    def size(self) -> int:
        return self.limit

    def goes_with(self, first: Wish) -> bool:
        return isinstance(first, Popping) and abs(first.now - self.now) < SAME_TIME_SECONDS

    @property
    def room(self) -> int:
        return self.limit - len(self.taken)

    def give(self) -> None:
        taken = sorted(self.taken.values(), key=lambda one: one["seq"])
        self.answer = [message_of(one | {"s": FREE}, self.now) for one in taken]


class Pops:
    def __init__(
        self, connection: Connection, ledgers: Ledgers, line: Line, free: FreeMessages
    ) -> None:
        self._connection = connection
        self._ledgers = ledgers
        self._line = line
        self._free = free

    def pop(self, poppings: list[Popping]) -> None:
        """All of one queue."""
        key = poppings[0].key
        now = max(popping.now for popping in poppings)
        limit = sum(popping.limit for popping in poppings)
        tokens = [popping.token for popping in poppings]
        look = self._free.look(key, limit, pops=tokens, now=now)
        if look.taken:
            made_already = {document["due"] for document in look.taken}
            again = [popping for popping in poppings if popping.token in made_already]
            self._read_back(key, again)
            for popping in again:
                popping.give()
            new = [popping for popping in poppings if popping.token not in made_already]
            if new:
                self.pop(new)
            return
        self._take(key, poppings, look.free, now)
        for popping in poppings:
            popping.give()

    def _take(
        self, key: QueueKey, poppings: Sequence[Popping], free: list[Document], now: float
    ) -> None:
        """Go round as claims do: lose to those on their way, then line up."""
        name, is_in_line = poppings[0].token, False
        wanted = sum(popping.room for popping in poppings)
        while free and wanted:
            ledger = self._ledgers.read(key)
            hidden = [one for one in free if not ledger.alive or not ledger.shows(one["seq"])]
            if ledger.alive and ledger.line and ledger.line[0] != name:
                is_in_line = True
                self._line.line_up(key, name)
            elif hidden:
                self._free.discard_hidden(key, hidden, ledger)
            else:
                won = self._mark(key, poppings, free, now, name if is_in_line else "")
                if won and len(free) < wanted:
                    return
                is_in_line = not won
                if not won:
                    self._read_back(key, poppings)
                    self._line.line_up(key, name)
            wanted = sum(popping.room for popping in poppings)
            bounds = ledger.bounds() if ledger.alive else []
            free = self._free.oldest(key, wanted, now, bounds) if wanted else []
        if is_in_line:
            self._line.step_out(key, name)

    def _mark(
        self,
        key: QueueKey,
        poppings: Sequence[Popping],
        free: list[Document],
        now: float,
        in_line: str,
    ) -> bool:
        """Pop these if they are still free; False if somebody else may have got some of them."""
        updates: list[Update] = []
        shares: list[list[Document]] = []
        at = 0
        for popping in poppings:
            share = free[at : at + popping.room]
            at += len(share)
            shares.append(share)
            gone = {"s": POPPED, "due": popping.token, "x": sweep_at(popping.now + RETRY_SECONDS)}
            by_fence: dict[int, list[str]] = {}
            for one in share:
                by_fence.setdefault(one["f"], []).append(one["_id"])
            updates += [
                UpdateMany(key.some(ids, s=FREE, f=fence), {"$set": gone}, hint=BY_ID)
                for fence, ids in by_fence.items()
            ]
        if in_line:
            updates.append(UpdateOne(*leaving(key, in_line), hint=BY_ID))
        sent = 0

        def step() -> int:
            nonlocal sent
            sent += 1
            return self._connection.change(updates)[0]

        matched = self._connection.again(step)
        if sent > 1 or matched != at + bool(in_line):
            return False
        for popping, share in zip(poppings, shares, strict=True):
            popping.taken |= {one["_id"]: one for one in share}
        return True

    def _read_back(self, key: QueueKey, poppings: Sequence[Popping]) -> None:
        by_token = {popping.token: popping for popping in poppings}
        for popping in poppings:
            popping.taken = {}
        branches = [key.all(s=POPPED, due=token) for token in by_token]
        match = branches[0] if len(branches) == 1 else {"$or": branches}
        for one in self._connection.some(match, SHOWN, hint=SERVICE):
            by_token[one["due"]].taken[one["_id"]] = one
