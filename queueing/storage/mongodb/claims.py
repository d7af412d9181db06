"""Claims: a document of their own, and messages that name them.

A message under a claim has the claim's id and its end. What is written to messages is guarded by what
was read: a message that somebody else took, gave back or buried since is left alone, so none is in two
claims. `f` is the fence of the last claim that took it, and every claim that takes it changes `f`: so an
update that comes late, when its answer is no longer waited for, finds nothing that fits.
"""

from __future__ import annotations

from pymongo import UpdateMany, UpdateOne

from queueing.core.errors import ClaimNotFound
from queueing.core.models import Claim, Claimed, ClaimTerms, Message, QueueRef
from queueing.storage.contract import RETRY_SECONDS, ClaimStore
from queueing.storage.mongodb.announcing import Announcements
from queueing.storage.mongodb.claiming import Making, Step, lifetime
from queueing.storage.mongodb.connection import BY_ID, Connection, Update
from queueing.storage.mongodb.crowds import Crowds
from queueing.storage.mongodb.free import IN_ORDER_OF_SEQUENCE, FreeMessages
from queueing.storage.mongodb.indexes import HOLDER
from queueing.storage.mongodb.keys import CLAIMED, FREE, Document, QueueKey, is_id
from queueing.storage.mongodb.ledger import NEWS, NO_DOCUMENT, Ledger, Ledgers
from queueing.storage.mongodb.letters import Letters
from queueing.storage.mongodb.line import Line
from queueing.storage.mongodb.records import SHOWN, claim_of, exists, message_of, sweep_at


class MongoClaims(ClaimStore):
    def __init__(
        self,
        connection: Connection,
        ledgers: Ledgers,
        free: FreeMessages,
        letters: Letters,
        announcements: Announcements,
        line: Line,
        crowds: Crowds,
    ) -> None:
        self._connection = connection
        self._ledgers = ledgers
        self._free = free
        self._letters = letters
        self._announcements = announcements
        self._line = line
        self._crowds = crowds

    def claim(
        self, queue: QueueRef, terms: ClaimTerms, *, token: str, version: str, now: float
    ) -> Claimed:
        making = Making(QueueKey.of(queue), terms, token, version, now)
        with self._connection.verb():
            self._crowds.serve(making.key.id, making, self._connection.deadline, self._claim)
        assert making.answer is not None
        return making.answer

    def _claim(self, makings: list[Making]) -> None:
        """All of one queue, and of settings of one version."""
        key = makings[0].key
        now = max(making.now for making in makings)
        limit = sum(making.terms.limit for making in makings)
        tokens = [making.token for making in makings]
        look = self._free.look(key, limit, claims=tokens, now=now)
        if look.taken:
            made = {document["due"]: document for document in look.taken}
            new = [making for making in makings if making.token not in made]
            for making in makings:
                if making.token in made:
                    making.answer = self._made_already(key, made[making.token], making.now)
            if new:
                self._claim(new)
            return
        step = Step(self._connection, self._ledgers, self._line, self._free, makings, now)
        step.run(look.free)
        has_pile = look.has_pile or step.buried
        letters = tuple(self._letters.pile(key, now)) if has_pile else ()
        for making in makings:
            making.answer = Claimed(making.claim(), letters)

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
