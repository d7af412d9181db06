"""Making claims: several at once, of those of one process that want messages of one queue.

A step goes round: look, take a fence for each claim, mark what was seen, all in one command. The marks
are guarded by what was seen. Where one did not fit, another process was there before: the step lines
up in the queue's own document and goes round again when it is first there. Who meets a line joins it,
so a step loses at most to those who were on their way when it lined up. Where nobody meets another,
nobody lines up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pymongo import UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError

from queueing.core.models import Claim, Claimed, ClaimTerms, message_id
from queueing.storage.contract import DEAD_LETTERS_PER_STEP, RETRY_SECONDS
from queueing.storage.mongodb.connection import BY_ID, DUPLICATE_KEY, Connection, Update
from queueing.storage.mongodb.crowds import Wish
from queueing.storage.mongodb.free import FreeMessages
from queueing.storage.mongodb.indexes import HOLDER
from queueing.storage.mongodb.keys import CLAIMED, DEAD, FREE, Document, QueueKey
from queueing.storage.mongodb.ledger import Ledger, Ledgers
from queueing.storage.mongodb.line import Line, leaving
from queueing.storage.mongodb.records import SHOWN, claim_document, message_of, sweep_at

SAME_TIME_SECONDS: Final = 1.0
"""Claims and pops may be done in one step if they were asked for within so much time."""


@dataclass(eq=False)
class Making(Wish):
    """One claim being made."""

    key: QueueKey
    terms: ClaimTerms
    token: str
    version: str
    now: float
    answer: Claimed | None = None
    taken: dict[str, Document] = field(default_factory=dict)
    fence: int = 0  # of the claim's document; 0: there is none
    buried: int = 0

    @property
    def served(self) -> bool:
        return self.answer is not None

    @property
    def size(self) -> int:
        return self.terms.limit

    def goes_with(self, first: Wish) -> bool:
        return (
            isinstance(first, Making)
            and first.version == self.version
            and first.terms.dead_letter == self.terms.dead_letter
            and abs(first.now - self.now) < SAME_TIME_SECONDS
        )

    @property
    def room(self) -> int:
        return self.terms.limit - len(self.taken)

    def claim(self) -> Claim | None:
        if not self.taken:
            return None
        messages = sorted(self.taken.values(), key=lambda document: document["seq"])
        return Claim(
            self.token,
            self.fence,
            self.terms.ttl,
            self.now,
            tuple(message_of(document, self.now) for document in messages),
        )

    def share(self, free: Sequence[Document]) -> Share:
        """What to take and what to bury, in order, until there is no room for one of them."""
        rule = self.terms.dead_letter
        if rule is None:
            return Share(self, list(free[: self.room]), [])
        found = Share(self, [], [])
        for document in free:
            if len(found.take) == self.room:
                break
            if document["n"] < rule.max_claims:
                found.take.append(document)
            else:
                if self.buried + len(found.bury) == DEAD_LETTERS_PER_STEP:
                    break
                found.bury.append(document)
        return found


@dataclass(eq=False)
class Share:
    """What one claim tries to take and to bury in one round."""

    making: Making
    take: list[Document]
    bury: list[Document]

    def __len__(self) -> int:
        return len(self.take) + len(self.bury)

    def updates(self, fence: int, place: int) -> list[Update]:
        """Under this fence, from this place on the pile."""
        made = self._make(fence) if self.take else []
        return made + self._take(fence) + self._bury(place)

    def _make(self, fence: int) -> list[Update]:
        making = self.making
        match = making.key.one(making.key.claim(making.token))
        if making.fence:
            change = {"$set": {"fence": fence, "seq": fence}}
            return [UpdateOne(match | {"fence": making.fence}, change, hint=BY_ID)]
        made = claim_document(making.token, fence, making.terms.ttl, making.now, RETRY_SECONDS)
        # One of this token with another fence is an error and no match.
        match["fence"] = fence
        return [UpdateOne(match, {"$setOnInsert": made}, upsert=True, hint=BY_ID)]

    def _take(self, fence: int) -> list[Update]:
        """Messages with the same past and future share an update."""
        making = self.making
        ends_at = making.now + making.terms.ttl
        groups: dict[tuple[int, bool], list[str]] = {}
        for one in self.take:
            groups.setdefault((one["f"], one["exp"] < ends_at), []).append(one["_id"])
        updates: list[Update] = []
        for (before, outlives), ids in groups.items():
            changed: Document = {"s": CLAIMED, "due": ends_at, "c": making.token, "f": fence}
            if outlives:
                changed |= lifetime(making.terms, making.now)
            change: Document = {"$set": changed}
            if making.terms.dead_letter:
                change["$inc"] = {"n": 1}
            match = making.key.some(ids, s=FREE, f=before)
            updates.append(UpdateMany(match, change, hint=BY_ID))
        return updates

    def _bury(self, place: int) -> list[Update]:
        making = self.making
        rule = making.terms.dead_letter
        updates: list[Update] = []
        for number, one in enumerate(self.bury):
            changed: Document = {
                "s": DEAD,
                "due": place + number,
                "c": message_id(making.token, making.buried + number),
                "to": rule.target if rule else "",
            }
            if rule and rule.ttl is not None:
                ends_at = making.now + rule.ttl
                changed |= {"exp": ends_at, "x": sweep_at(ends_at), "t": rule.ttl}
            match = making.key.one(one["_id"], s=FREE, f=one["f"])
            updates.append(UpdateOne(match, {"$set": changed}, hint=BY_ID))
        return updates

    def held(self, fence: int) -> dict[str, Document]:
        """The documents as the command has left them."""
        making = self.making
        ends_at = making.now + making.terms.ttl
        changed: Document = {"s": CLAIMED, "due": ends_at, "c": making.token, "f": fence}
        found = {}
        for document in self.take:
            held = document | changed
            if document["exp"] < ends_at:
                held |= lifetime(making.terms, making.now)
            if making.terms.dead_letter:
                held["n"] = document["n"] + 1
            found[document["_id"]] = held
        return found


class Step:
    """Claims of one queue being made together."""

    def __init__(
        self,
        connection: Connection,
        ledgers: Ledgers,
        line: Line,
        free: FreeMessages,
        makings: Sequence[Making],
        now: float,
    ) -> None:
        self._connection = connection
        self._ledgers = ledgers
        self._line = line
        self._free = free
        self._makings = makings
        self._now = now
        self._key = makings[0].key
        self._name = makings[0].token
        self._is_in_line = False

    @property
    def buried(self) -> int:
        return sum(making.buried for making in self._makings)

    def run(self, free: list[Document]) -> None:
        """Take from what was seen, and look again for what others took from under our hands.

        Each round has fences of its own, given out after its look: else a message could be taken
        that another claim, with a greater fence, has taken and given back in between.

        :raises StaleSettings: the settings are of another version
        """
        version = self._makings[0].version
        if not free:
            present = self._ledgers.read(self._key)
            if present.alive and present.version != version:
                raise self._ledgers.refuse(self._key)
            return
        self._go_round(free, version)
        if self._is_in_line:
            self._line.step_out(self._key, self._name)
        for making in self._makings:
            if making.fence and not making.taken:
                match = self._key.one(self._key.claim(making.token), fence=making.fence)
                self._connection.delete(match)

    def _go_round(self, free: list[Document], version: str) -> None:
        asked: str | None = version
        wanted = self._wanted()
        while free:
            shares = self._shares(free)
            if not shares:
                return
            ledger = self._ledgers.stamp(
                self._key,
                version=asked,
                fences=sum(1 for share in shares if share.take),
                burying=sum(len(share.bury) for share in shares),
                now=self._now,
            )
            if ledger is None:
                return
            asked = None  # the settings are those that the step began with
            hidden = [
                one
                for share in shares
                for one in (*share.take, *share.bury)
                if not ledger.shows(one["seq"])
            ]
            if ledger.line and ledger.line[0] != self._name:
                self._line_up()
            elif hidden:
                self._free.discard_hidden(self._key, hidden, ledger)
            elif self._mark(shares, ledger):
                if len(free) < wanted:
                    return
            else:
                self._line_up()
            wanted = self._wanted()
            if not wanted:
                return
            free = self._free.oldest(self._key, wanted, self._now, ledger.bounds())

    def _line_up(self) -> None:
        self._is_in_line = True
        self._line.line_up(self._key, self._name)

    def _wanted(self) -> int:
        """How much the next look is to show."""
        unfilled = [making for making in self._makings if making.room]
        wanted = sum(making.room for making in unfilled)
        return wanted + sum(
            DEAD_LETTERS_PER_STEP - making.buried for making in unfilled if making.buried
        )

    def _shares(self, free: list[Document]) -> list[Share]:
        """One after the other, as if they had come alone."""
        shares = []
        at = 0
        for making in self._makings:
            if making.room:
                share = making.share(free[at:])
                at += len(share)
                if len(share):
                    shares.append(share)
        return shares

    def _mark(self, shares: list[Share], ledger: Ledger) -> bool:
        """Take and bury in one command. True if all of them were won."""
        updates: list[Update] = []
        fences: list[int] = []
        fence = ledger.fence - sum(1 for share in shares if share.take)
        place = ledger.buried - sum(len(share.bury) for share in shares)
        matched = made = 0
        for share in shares:
            fence += bool(share.take)
            fences.append(fence)
            updates += share.updates(fence, place)
            place += len(share.bury)
            matched += len(share)
            if share.take and share.making.fence:
                matched += 1
            elif share.take:
                made += 1
        if self._is_in_line:
            updates.append(UpdateOne(*leaving(self._key, self._name), hint=BY_ID))
            matched += 1
        sent = 0

        def step() -> tuple[int, int]:
            nonlocal sent
            sent += 1
            return self._connection.change(updates)

        try:
            counts = self._connection.again(step)
            self._is_in_line = False
        except BulkWriteError as error:
            if {refused["code"] for refused in error.details["writeErrors"]} != {DUPLICATE_KEY}:
                raise
            counts = 0, 0  # the same request made its claim meanwhile, with another fence
        won = sent == 1 and counts == (matched, made)
        for share, fence in zip(shares, fences, strict=True):
            share.making.buried += len(share.bury)
            if share.take:
                share.making.fence = fence
                if won:
                    share.making.taken |= share.held(fence)
        if not won:
            self._read_back([share.making for share in shares if share.take])
        return won

    def _read_back(self, makings: list[Making]) -> None:
        """What became of a command that was sent twice, or that others came before."""
        if not makings:
            return
        for making in makings:
            making.taken, making.fence = {}, 0
        by_token = {making.token: making for making in makings}
        asked = self._key.all(c={"$in": list(by_token)}, s=CLAIMED, due={"$gt": self._now})
        for one in self._connection.some(asked, SHOWN, hint=HOLDER):
            by_token[one["c"]].taken[one["_id"]] = one
        ids = [self._key.claim(token) for token in by_token]
        for made in self._connection.some(self._key.some(ids), {"due": 1, "fence": 1}):
            by_token[made["due"]].fence = made["fence"]


def lifetime(terms: ClaimTerms, now: float) -> Document:
    """Of a message that would be over before its claim."""
    ttl = terms.ttl + terms.grace
    return {"exp": now + ttl, "x": sweep_at(now + ttl), "t": ttl}
