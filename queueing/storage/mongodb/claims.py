"""Claims: a document of their own, and messages that name them.

A message under a claim has the claim's id and its end. What is written to messages is guarded by what
was read: a message that somebody else took, gave back or buried since is left alone, so none is in two
claims. `f` is the fence of the last claim that took it, and every claim that takes it changes `f`: so an
update that comes late, when its answer is no longer waited for, finds nothing that fits.
"""

from __future__ import annotations

from pymongo import UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError

from queueing.core.errors import ClaimNotFound
from queueing.core.models import Claim, Claimed, ClaimTerms, Message, QueueRef, message_id
from queueing.storage.contract import DEAD_LETTERS_PER_STEP, RETRY_SECONDS, ClaimStore
from queueing.storage.mongodb.announcing import Announcements
from queueing.storage.mongodb.connection import BY_ID, DUPLICATE_KEY, Connection, Update
from queueing.storage.mongodb.free import IN_ORDER_OF_SEQUENCE, FreeMessages, Look
from queueing.storage.mongodb.indexes import HOLDER
from queueing.storage.mongodb.keys import CLAIMED, DEAD, FREE, Document, QueueKey, is_id
from queueing.storage.mongodb.ledger import NEWS, NO_DOCUMENT, Ledger, Ledgers
from queueing.storage.mongodb.letters import Letters
from queueing.storage.mongodb.records import (
    SHOWN,
    claim_document,
    claim_of,
    exists,
    message_of,
    sweep_at,
)


class MongoClaims(ClaimStore):
    def __init__(
        self,
        connection: Connection,
        ledgers: Ledgers,
        free: FreeMessages,
        letters: Letters,
        announcements: Announcements,
    ) -> None:
        self._connection = connection
        self._ledgers = ledgers
        self._free = free
        self._letters = letters
        self._announcements = announcements

    def claim(
        self, queue: QueueRef, terms: ClaimTerms, *, token: str, version: str, now: float
    ) -> Claimed:
        key = QueueKey.of(queue)
        with self._connection.verb():
            look = self._free.look(key, terms.limit, claim=token, now=now)
            if not look.free:
                return self._claim(key, look, terms, token, version, now)
            # Of n that saw the same messages one would win, and the others begin again: n² steps.
            with self._connection.turn(key.id) as has_waited:
                if has_waited:
                    look = self._free.look(key, terms.limit, claim=token, now=now)
                return self._claim(key, look, terms, token, version, now)

    def _claim(
        self, key: QueueKey, look: Look, terms: ClaimTerms, token: str, version: str, now: float
    ) -> Claimed:
        if look.taken:
            return self._made_already(key, look.taken[0], now)
        step = Step(self._connection, self._ledgers, self._free, key, terms, token, now)
        step.run(look.free, version)
        has_pile = look.has_pile or step.buried
        letters = self._letters.pile(key, now) if has_pile else ()
        return Claimed(step.claim(), tuple(letters))

    def _made_already(self, key: QueueKey, made: Document, now: float) -> Claimed:
        """The answer to a request that has made its claim already."""
        ledger = self._ledgers.read(key)
        claim = None
        if ledger.lets_claim_live(made, now):
            claim = claim_of(made, self._messages(key, made["due"], ledger, now))
        return Claimed(claim, tuple(self._letters.pile(key, now)))

    def get(self, queue: QueueRef, claim_id: str, *, now: float) -> Claim:
        key = QueueKey.of(queue)
        with self._connection.verb():
            ledger, made = self._find(key, claim_id, now)
            return claim_of(made, self._messages(key, claim_id, ledger, now))

    def _find(self, key: QueueKey, claim_id: str, now: float) -> tuple[Ledger, Document]:
        """:raises ClaimNotFound: it never was, was released, or is over"""
        if not is_id(claim_id):
            raise ClaimNotFound(claim_id)
        asked = [key.id, key.claim(claim_id)]
        documents = self._connection.some(key.some(asked), NO_DOCUMENT)
        found = {document["_id"]: document for document in documents}
        ledger = Ledger.of(found.get(key.id))
        made = found.get(key.claim(claim_id))
        if made is None or not ledger.lets_claim_live(made, now):
            raise ClaimNotFound(claim_id)
        return ledger, made

    def _messages(
        self, key: QueueKey, claim_id: str, ledger: Ledger, now: float
    ) -> tuple[Message, ...]:
        found = self._connection.some(
            key.all(c=claim_id, s=CLAIMED, due={"$gt": now}),
            SHOWN,
            sort=IN_ORDER_OF_SEQUENCE,
            hint=HOLDER,
        )
        return tuple(message_of(one, now) for one in found if exists(one, ledger, now))

    def renew(self, queue: QueueRef, claim_id: str, terms: ClaimTerms, *, now: float) -> None:
        key = QueueKey.of(queue)
        until = now + terms.ttl
        over = until + RETRY_SECONDS
        with self._connection.verb():
            self._find(key, claim_id, now)
            renewed = {
                "ttl": terms.ttl,
                "at": now,
                "until": until,
                "exp": over,
                "x": sweep_at(over),
            }
            match = key.one(key.claim(claim_id), until={"$gt": now})
            if not self._connection.update(match, {"$set": renewed}):
                raise ClaimNotFound(claim_id)  # released since we looked
            under = key.all(c=claim_id, s=CLAIMED, due={"$gt": now})
            updates = [
                UpdateMany(
                    under | {"exp": {"$gt": now, "$lt": until}},
                    {"$set": lifetime(terms, now)},
                    hint=HOLDER,
                ),
                UpdateMany(under, {"$set": {"due": until}}, hint=HOLDER),
            ]
            self._connection.again(lambda: self._connection.change(updates))

    def release(self, queue: QueueRef, claim_id: str, *, now: float) -> None:
        if not is_id(claim_id):
            return
        key = QueueKey.of(queue)
        # The claim's document stays for a while: a claim step that comes late must not make it anew.
        over = {
            "until": 0,
            "exp": now + RETRY_SECONDS,
            "x": sweep_at(now + RETRY_SECONDS),
        }
        updates: list[Update] = [
            UpdateOne(key.one(key.claim(claim_id), until={"$gt": now}), {"$set": over}, hint=BY_ID),
            UpdateMany(
                key.all(c=claim_id, s=CLAIMED),
                {"$set": {"s": FREE, "due": 0}, "$unset": {"c": ""}},
                hint=HOLDER,
            ),
            UpdateOne(key.itself(), NEWS, hint=BY_ID),
        ]
        followed = self._announcements.begin(queue)
        done = False
        try:
            with self._connection.verb():
                self._connection.again(lambda: self._connection.change(updates))
            done = True
        finally:
            self._announcements.end(followed, done=done)


class Step:
    """One claim being made."""

    def __init__(
        self,
        connection: Connection,
        ledgers: Ledgers,
        free: FreeMessages,
        key: QueueKey,
        terms: ClaimTerms,
        token: str,
        now: float,
    ) -> None:
        self._connection = connection
        self._ledgers = ledgers
        self._free = free
        self._key = key
        self._terms = terms
        self._token = token
        self._now = now
        self._taken: dict[str, Document] = {}
        self._fence = 0  # of the claim's document; 0: there is none
        self.buried = 0

    def claim(self) -> Claim | None:
        if not self._taken:
            return None
        messages = sorted(self._taken.values(), key=lambda document: document["seq"])
        return Claim(
            self._token,
            self._fence,
            self._terms.ttl,
            self._now,
            tuple(message_of(document, self._now) for document in messages),
        )

    def run(self, free: list[Document], version: str) -> None:
        """Take from what was seen, and look again for what others took from under our hands.

        Each round has a fence of its own, given out after its look: else a message could be taken
        that another claim, with a greater fence, has taken and given back in between.
        """
        if not free:
            present = self._ledgers.read(self._key)
            if present.alive and present.version != version:
                raise self._ledgers.refuse(self._key)
            return
        asked: str | None = version
        wanted = self._terms.limit
        while free:
            take, bury = self._split(free)
            if not take and not bury:
                break
            ledger = self._ledgers.stamp(
                self._key, version=asked, fence=bool(take), burying=len(bury), now=self._now
            )
            if ledger is None:
                break
            asked = None  # the settings are those that the step began with
            hidden = [one for one in (*take, *bury) if not ledger.shows(one["seq"])]
            if hidden:
                self._free.discard_hidden(self._key, hidden, ledger)
            else:
                won = self._mark(take, bury, ledger)
                if len(self._taken) == self._terms.limit or (won and len(free) < wanted):
                    break
            wanted = self._terms.limit - len(self._taken)
            if bury:
                wanted += DEAD_LETTERS_PER_STEP - self.buried
            free = self._free.oldest(self._key, wanted, self._now, ledger.bounds())
        if self._fence and not self._taken:
            match = self._key.one(self._key.claim(self._token), fence=self._fence)
            self._connection.delete(match)

    def _split(self, free: list[Document]) -> tuple[list[Document], list[Document]]:
        """What to take and what to bury, in order, until there is no room for one of them."""
        rule = self._terms.dead_letter
        room = self._terms.limit - len(self._taken)
        if rule is None:
            return free[:room], []
        take: list[Document] = []
        bury: list[Document] = []
        for document in free:
            if len(take) == room:
                break
            if document["n"] < rule.max_claims:
                take.append(document)
            else:
                if self.buried + len(bury) == DEAD_LETTERS_PER_STEP:
                    break
                bury.append(document)
        return take, bury

    def _mark(self, take: list[Document], bury: list[Document], ledger: Ledger) -> bool:
        """Take and bury in one command. True if all of them were won."""
        updates = self._make(ledger.fence) if take else []
        updates += self._take(take, ledger.fence)
        updates += self._bury(bury, ledger.buried - len(bury))
        made_before = self._fence != 0
        sent = 0

        def step() -> tuple[int, int]:
            nonlocal sent
            sent += 1
            return self._connection.change(updates)

        try:
            counts = self._connection.again(step)
        except BulkWriteError as error:
            if {refused["code"] for refused in error.details["writeErrors"]} != {DUPLICATE_KEY}:
                raise
            counts = 0, 0  # the same request made its claim meanwhile, with another fence
        self.buried += len(bury)
        if not take:
            return sent == 1 and counts == (len(bury), 0)
        self._fence = ledger.fence
        number = len(take) + len(bury)
        if sent == 1 and counts == ((number + 1, 0) if made_before else (number, 1)):
            self._taken |= {one["_id"]: self._held(one, ledger.fence) for one in take}
            return True
        self._read_back()
        return False

    def _read_back(self) -> None:
        """What became of a command that was sent twice, or that others came before."""
        asked = self._key.all(c=self._token, s=CLAIMED, due={"$gt": self._now})
        self._taken = {one["_id"]: one for one in self._connection.some(asked, SHOWN, hint=HOLDER)}
        made = self._connection.one(self._key.one(self._key.claim(self._token)))
        self._fence = made["fence"] if made else 0

    def _make(self, fence: int) -> list[Update]:
        match = self._key.one(self._key.claim(self._token))
        if self._fence:
            change = {"$set": {"fence": fence, "seq": fence}}
            return [UpdateOne(match | {"fence": self._fence}, change, hint=BY_ID)]
        made = claim_document(self._token, fence, self._terms.ttl, self._now, RETRY_SECONDS)
        # One of this token with another fence is an error and no match.
        match["fence"] = fence
        return [UpdateOne(match, {"$setOnInsert": made}, upsert=True, hint=BY_ID)]

    def _take(self, take: list[Document], fence: int) -> list[Update]:
        """Messages with the same past and future share an update."""
        ends_at = self._now + self._terms.ttl
        groups: dict[tuple[int, bool], list[str]] = {}
        for one in take:
            groups.setdefault((one["f"], one["exp"] < ends_at), []).append(one["_id"])
        updates: list[Update] = []
        for (before, outlives), ids in groups.items():
            changed: Document = {"s": CLAIMED, "due": ends_at, "c": self._token, "f": fence}
            if outlives:
                changed |= lifetime(self._terms, self._now)
            change: Document = {"$set": changed}
            if self._terms.dead_letter:
                change["$inc"] = {"n": 1}
            match = self._key.some(ids, s=FREE, f=before)
            updates.append(UpdateMany(match, change, hint=BY_ID))
        return updates

    def _bury(self, bury: list[Document], place: int) -> list[Update]:
        rule = self._terms.dead_letter
        updates: list[Update] = []
        for number, one in enumerate(bury):
            changed: Document = {
                "s": DEAD,
                "due": place + number,
                "c": message_id(self._token, self.buried + number),
                "to": rule.target if rule else "",
            }
            if rule and rule.ttl is not None:
                ends_at = self._now + rule.ttl
                changed |= {"exp": ends_at, "x": sweep_at(ends_at), "t": rule.ttl}
            match = self._key.one(one["_id"], s=FREE, f=one["f"])
            updates.append(UpdateOne(match, {"$set": changed}, hint=BY_ID))
        return updates

    def _held(self, document: Document, fence: int) -> Document:
        """The document as the command has left it."""
        ends_at = self._now + self._terms.ttl
        changed: Document = {"s": CLAIMED, "due": ends_at, "c": self._token, "f": fence}
        if document["exp"] < ends_at:
            changed |= lifetime(self._terms, self._now)
        if self._terms.dead_letter:
            changed["n"] = document["n"] + 1
        return document | changed


def lifetime(terms: ClaimTerms, now: float) -> Document:
    """Of a message that would be over before its claim."""
    ttl = terms.ttl + terms.grace
    return {"exp": now + ttl, "x": sweep_at(now + ttl), "t": ttl}
