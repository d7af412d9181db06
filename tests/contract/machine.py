"""Drives the model and a driver with the same random commands, and compares every answer.

A conversation that fails is told again in ever shorter form, as long as it fails (`shortest`).

Ids come from tokens that the machine gives to both, sequences from its clock, so answers are compared
as they are. Only fences and the names of burials are each store's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import unified_diff
from typing import Any, Protocol
from uuid import uuid4

from queueing.core.clock import ManualClock
from queueing.core.errors import QueueingError, StaleSettings
from queueing.core.models import (
    NO_METADATA,
    Claim,
    Claimed,
    ClaimTerms,
    DeadLetter,
    DeadLetterRule,
    Draft,
    IdempotencyKey,
    Metadata,
    QueueRef,
    request_token,
)
from queueing.storage.contract import RETRY_SECONDS, Storage
from tests.contract.conversation import (
    ALL,
    CLAIM_TTL,
    DEAD_LETTER_RULE,
    DOCUMENT,
    DRAFT,
    EITHER,
    GRACE,
    LIMIT,
    MOSTLY,
    NAMES,
    PICK,
    WHERE,
    WHICH_CLAIM,
    Command,
    OneOf,
    Several,
    Where,
    command,
    conversation,
    shortest,
)
from tests.contract.subject import MOMENT
from tests.model import ModelStorage, Queue

Ask = Callable[[Storage], Any]


class Opened(Protocol):
    """The store that is compared with the model."""

    storage: Storage
    clock: ManualClock  # goes on from one conversation to the next

    def reopen(self) -> None:
        """As after a restart of the node."""


class Different(AssertionError):
    """Model and driver disagree."""

    def __repr__(self) -> str:
        return str(self)


class Machine:
    def __init__(self, opened: Opened, *, watchful: bool) -> None:
        """`watchful`: look everywhere after every step, which finds more; or only in the end, so
        that nothing is repaired by being looked at.
        """
        self.opened = opened
        self.model = ModelStorage()
        self.clock = opened.clock
        self.clock.advance(1)
        self.projects = [f"machine-{uuid4()}" for _ in range(2)]
        self.ids: list[str] = ["absent"]
        self.claims: list[str] = ["absent"]
        self.fences: dict[QueueRef, dict[str, int]] = {}
        self.sequences: list[int] = [0]
        self.letters: list[tuple[str, list[DeadLetter], list[DeadLetter]]] = []
        self.last_post: tuple[float, Ask] | None = None
        self.watchful = watchful

    def hold(self, conversation: Sequence[Command]) -> None:
        """Say one thing after the other, and look at all there is in the end."""
        for name, arguments in conversation:
            getattr(self, name)(**arguments)
        for where in ALL:
            self.look(where)
            self.look_at_claims(where)

    def look_at_claims(self, where: Where) -> None:
        ref = self.at(where)
        self.both(lambda s: s.queues.fetch(ref))
        for claim in dict.fromkeys(self.claims):
            self.look_up(where, claim)

    # Comparing

    def both(self, ask: Ask) -> Any:
        """Ask model and driver; the `outcome` that they agree on."""
        expected = outcome(ask, self.model)
        actual = outcome(ask, self.opened.storage)
        if actual != expected:
            told = [lines(answer) for answer in (expected, actual)]
            raise Different("\n".join(unified_diff(*told, "expected", "got", n=2, lineterm="")))
        return expected

    def change(self, where: Where, ask: Ask, again: bool = False) -> Any:
        """As `both`, for a step that changes a queue; twice, if the driver may send it twice."""
        answer = self.both(ask)
        if again and self.opened.storage.resends:
            self.both(ask)
        if self.watchful:
            self.look(where)
        return answer

    def look(self, where: Where) -> None:
        """All that can be seen of a queue."""
        ref, now = self.at(where), self.clock.now()
        self.both(lambda s: s.messages.stats(ref, now=now))
        self.both(lambda s: unnamed(s.messages.dead_letters(ref, now=now)))
        self.look_ahead(ref, now)
        self.both(
            lambda s: s.messages.page(
                ref,
                after=0,
                limit=1000,
                hide_client=None,
                include_claimed=True,
                include_delayed=True,
                now=now,
            )
        )

    def look_ahead(self, ref: QueueRef, now: float) -> None:
        """What a driver lets people expect may be too much and too early, never the contrary."""
        least, latest = self.model.messages.outlook(ref, limit=1000, now=now)
        free, due_at = self.opened.storage.messages.outlook(ref, limit=1000, now=now)
        if free < least:
            raise Different(f"expected at least {least} free messages, got {free}")
        if latest is not None and (due_at is None or not now < due_at <= latest):
            raise Different(f"expected the next free message by {latest}, got {due_at}")

    def look_up(self, where: Where, claim_id: str) -> None:
        ref, now = self.at(where), self.clock.now()
        self.both(lambda s: self.unfenced(ref, s, s.claims.get(ref, claim_id, now=now)))

    def unfenced(self, ref: QueueRef, storage: Storage, claim: Claim) -> Claim:
        """Without its fence, which a driver may choose higher than the model; but it must grow."""
        if storage is not self.model:
            given = self.fences.setdefault(ref, {})
            least = max([int(claim.claimed_at * 1_000_000), *(n + 1 for n in given.values())])
            fence = given.setdefault(claim.id, max(claim.fence, least))
            if claim.fence != fence:
                raise Different(f"expected a fence of {fence}, got {claim.fence}")
        return claim._replace(fence=0)

    # Choosing

    def at(self, where: Where) -> QueueRef:
        return QueueRef(self.projects[where[0]], where[1])

    def version(self, ref: QueueRef, current: bool) -> str:
        known = self.model.queues.fetch(ref) or NO_METADATA
        return known.version if current else Metadata.of(b'{"another":1}').version

    def message(self, where: Where, pick: int) -> str:
        there = [kept.message.id for kept in self._state(where).existing(self.clock.now())]
        return self._choose(there, self.ids, pick)

    def claim_of(self, where: Where, pick: int) -> str:
        return self._choose(self._live_claims(where), self.claims, pick)

    def holder(self, where: Where, id: str) -> str | None:
        state, now = self._state(where), self.clock.now()
        kept = state.find(id, now)
        return state.holder(kept, now) if kept else None

    def where_claims_are(self, where: Where, pick: int) -> Where:
        """That queue; when there is no claim to choose from, one with claims."""
        likely = [where, *ALL] if pick < 9 else []
        return next((other for other in likely if self._live_claims(other)), where)

    def where_messages_are(self, where: Where, pick: int = 0) -> Where:
        likely = [where, *ALL] if pick < 9 else []
        now = self.clock.now()
        return next((other for other in likely if self._state(other).existing(now)), where)

    def where_letters_are(self, where: Where) -> Where:
        now = self.clock.now()
        return next((other for other in [where, *ALL] if self._state(other).letters(now)), where)

    def where_free_ones_are(self, where: Where) -> Where:
        now = self.clock.now()
        return next((other for other in [where, *ALL] if self._state(other).free(now)), where)

    def _live_claims(self, where: Where) -> list[str]:
        state, now = self._state(where), self.clock.now()
        return [id for id in state.claims if state.claim(id, now)]

    def _state(self, where: Where) -> Queue:
        return self.model.shared.queues[self.at(where)]

    @staticmethod
    def _choose(likely: Sequence[str], known: Sequence[str], pick: int) -> str:
        choice = likely if likely and pick < 9 else known
        return choice[-1 - pick % len(choice)]

    # Time and the store

    @command(2, seconds=OneOf([MOMENT, 1, 30, 60]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @command(5, pick=OneOf([0, 0, 1, 2, 3]), early=EITHER)
    def advance_to_an_end(self, pick: int, early: bool) -> None:
        """To the moment when a delay, a claim, a lifetime or a key ends, or shortly before it."""
        now = self.clock.now()
        ends: set[float] = set()
        for where in ALL:
            state = self._state(where)
            for things in (state.messages, state.claims, state.keys, state.pile):
                ends |= {thing.ends_at for thing in things.values()}
            ends |= {kept.free_at for kept in state.messages.values()}
        ahead = sorted(end for end in ends if end > now + MOMENT)
        if ahead:
            self.clock.advance(ahead[pick % len(ahead)] - now - (MOMENT if early else 0))

    @command(2, limit=OneOf([1000, 1]))
    def collect(self, limit: int) -> None:
        for storage in [self.model, self.opened.storage]:
            storage.collect(now=self.clock.now(), limit=limit)

    @command()
    def reopen(self) -> None:
        self.opened.reopen()

    # Queues

    @command(where=WHERE, document=DOCUMENT, again=EITHER)
    def create(self, where: Where, document: bytes, again: bool) -> None:
        ref, token, now = self.at(where), request_token(), self.clock.now()
        self.change(where, lambda s: s.queues.create(ref, document, token=token, now=now), again)

    @command(where=WHERE, document=DOCUMENT, current=MOSTLY, again=EITHER)
    def replace(self, where: Where, document: bytes, current: bool, again: bool) -> None:
        where = self.where_messages_are(where)
        ref, token, now = self.at(where), request_token(), self.clock.now()
        expected = self.version(ref, current)
        self.change(
            where,
            lambda s: s.queues.replace(ref, document, expected=expected, token=token, now=now),
            again,
        )

    @command(2, where=WHERE, how=OneOf(["purge", "drop", "drop and remake"]))
    def clear_out(self, where: Where, how: str) -> None:
        ref, now = self.at(where), self.clock.now()
        if how == "purge":
            self.change(where, lambda s: s.messages.purge(ref, now=now))
        else:
            self.change(where, lambda s: s.queues.delete(ref, now=now))
            self.clock.advance(MOMENT)  # at once a queue made anew may begin at a higher number
        if how == "drop and remake":
            self._post(where, [Draft(b"new", 90)], "one", True, False, None)

    @command(project=OneOf([0, 1]), after=OneOf(["", "a", "b"]), limit=LIMIT)
    def list_queues(self, project: int, after: str, limit: int) -> None:
        name = self.projects[project]
        self.both(lambda s: s.queues.page(name, after=after, limit=limit))
        self.both(lambda s: s.queues.count(name))

    # Messages

    @command(
        8,
        where=WHERE,
        drafts=Several(DRAFT, 4),
        client=OneOf(["one", "two"]),
        current=MOSTLY,
        again=EITHER,
    )
    def post(
        self, where: Where, drafts: list[Draft], client: str, current: bool, again: bool
    ) -> None:
        self._post(where, drafts, client, current, again, None)

    @command(
        3,
        where=WHERE,
        drafts=Several(DRAFT, 2),
        current=MOSTLY,
        again=EITHER,
        key=OneOf(["k", "k", "K"]),
        digest=OneOf([b"1", b"1", b"2"]),
        life=OneOf([30, 90, 300]),
    )
    def post_with_key(
        self,
        where: Where,
        drafts: list[Draft],
        current: bool,
        again: bool,
        key: str,
        digest: bytes,
        life: int,
    ) -> None:
        idempotency = IdempotencyKey(key, digest * 32, self.clock.now() + life)
        self._post(where, drafts, "one", current, again, idempotency)

    def _post(
        self,
        where: Where,
        drafts: list[Draft],
        client: str,
        current: bool,
        again: bool,
        key: IdempotencyKey | None,
    ) -> None:
        ref, token, now = self.at(where), request_token(), self.clock.now()
        version = self.version(ref, current)

        def ask(storage: Storage) -> Any:
            return storage.messages.post(
                ref,
                drafts,
                client_id=client,
                token=token,
                version=version,
                now=now,
                idempotency=key,
            )

        kind, answer = self.change(where, ask, again)
        if kind == "answer":
            self.ids += answer.ids
            self.sequences.append(self._state(where).last_sequence)
            self.last_post = (now, ask)

    @command()
    def post_again(self) -> None:
        """A driver's own repeat, after whatever has happened since."""
        if self.last_post and self.opened.storage.resends:
            posted_at, ask = self.last_post
            if self.clock.now() < posted_at + RETRY_SECONDS:
                self.both(ask)

    @command(where=WHERE, chosen=Several(PICK, 6))
    def get(self, where: Where, chosen: list[int]) -> None:
        where = self.where_messages_are(where, chosen[0])
        ids = [self.message(where, pick) for pick in chosen]
        self.both(lambda s: s.messages.get(self.at(where), ids, now=self.clock.now()))

    @command(
        3,
        where=WHERE,
        pick=OneOf([None, 0, 1, 2, 3]),
        limit=LIMIT,
        hide=OneOf([None, None, "one", "two"]),
        claimed=EITHER,
        delayed=EITHER,
    )
    def page(
        self,
        where: Where,
        pick: int | None,
        limit: int,
        hide: str | None,
        claimed: bool,
        delayed: bool,
    ) -> None:
        where = self.where_messages_are(where)
        after = 0
        if pick is not None:
            there = [k.message.sequence for k in self._state(where).messages.values()]
            markers = there or self.sequences
            after = markers[pick % len(markers)]
        self.both(
            lambda s: s.messages.page(
                self.at(where),
                after=after,
                limit=limit,
                hide_client=hide,
                include_claimed=claimed,
                include_delayed=delayed,
                now=self.clock.now(),
            )
        )

    @command(4, where=WHERE, pick=PICK, claim=WHICH_CLAIM, other=PICK)
    def delete(self, where: Where, pick: int, claim: str, other: int) -> None:
        where = self.where_messages_are(where, pick)
        id = self.message(where, pick)
        named = {
            "holder": self.holder(where, id),
            "none": None,
            "any": self.claim_of(where, other),
        }[claim]
        self.change(
            where,
            lambda s: s.messages.delete(self.at(where), id, claim_id=named, now=self.clock.now()),
        )

    @command(
        2,
        where=WHERE,
        chosen=Several(PICK, 4),
        claims=WHICH_CLAIM,
        others=Several(PICK, 2),
    )
    def delete_many(self, where: Where, chosen: list[int], claims: str, others: list[int]) -> None:
        where = self.where_messages_are(where, chosen[0])
        ids = [self.message(where, pick) for pick in chosen]
        named = {
            "holder": [claim for id in ids if (claim := self.holder(where, id))],
            "none": None,
            "any": [self.claim_of(where, pick) for pick in others],
        }[claims]
        self.change(
            where,
            lambda s: s.messages.delete_many(
                self.at(where), ids, claim_ids=named, now=self.clock.now()
            ),
        )

    @command(where=WHERE, limit=OneOf([1, 1, 2, 6]), again=EITHER)
    def pop(self, where: Where, limit: int, again: bool) -> None:
        where = self.where_free_ones_are(where)
        ref, token, now = self.at(where), request_token(), self.clock.now()
        self.change(where, lambda s: s.messages.pop(ref, limit, token=token, now=now), again)

    # Claims

    @command(
        7,
        where=WHERE,
        ttl=CLAIM_TTL,
        grace=GRACE,
        limit=OneOf([1, 1, 2, 3, 6]),
        dead_letter=DEAD_LETTER_RULE,
        current=MOSTLY,
        again=EITHER,
    )
    def claim(
        self,
        where: Where,
        ttl: int,
        grace: int,
        limit: int,
        dead_letter: DeadLetterRule | None,
        current: bool,
        again: bool,
    ) -> None:
        where = self.where_free_ones_are(where)
        ref, token, now = self.at(where), request_token(), self.clock.now()
        version = self.version(ref, current)
        terms = ClaimTerms(ttl, grace, limit, dead_letter)

        def ask(storage: Storage) -> Claimed:
            claim, letters = storage.claims.claim(ref, terms, token=token, version=version, now=now)
            return Claimed(claim and self.unfenced(ref, storage, claim), tuple(unnamed(letters)))

        self.change(where, ask, again)
        self.claims.append(token)

    @command(where=WHERE, pick=PICK)
    def get_claim(self, where: Where, pick: int) -> None:
        where = self.where_claims_are(where, pick)
        id = self.claim_of(where, pick)
        self.look_up(where, id)

    @command(2, where=WHERE, pick=PICK, ttl=CLAIM_TTL, grace=GRACE)
    def renew(self, where: Where, pick: int, ttl: int, grace: int) -> None:
        where = self.where_claims_are(where, pick)
        id, terms = self.claim_of(where, pick), ClaimTerms(ttl, grace)
        self.change(
            where, lambda s: s.claims.renew(self.at(where), id, terms, now=self.clock.now())
        )

    @command(3, where=WHERE, pick=PICK)
    def release(self, where: Where, pick: int) -> None:
        where = self.where_claims_are(where, pick)
        id = self.claim_of(where, pick)
        self.change(where, lambda s: s.claims.release(self.at(where), id, now=self.clock.now()))

    # Dead letters

    @command(3, where=WHERE, target=OneOf(["b", "a"]), limit=LIMIT, ttl=OneOf([None, 60]))
    def claim_too_often(self, where: Where, target: str, limit: int, ttl: int | None) -> None:
        rule = DeadLetterRule(target, 1, ttl)
        self.claim(where, 60, 60, limit, rule, current=True, again=False)
        self.release(where, 0)
        self.claim(where, 60, 60, limit, rule, current=True, again=False)

    @command(3, where=WHERE, clear=MOSTLY)
    def forward(self, where: Where, clear: bool) -> None:
        """What the service does, or the first half of it."""
        where = self.where_letters_are(where)
        source, now = self.at(where), self.clock.now()
        storages = [self.model, self.opened.storage]
        piles = [storage.messages.dead_letters(source, now=now) for storage in storages]
        for name in NAMES:
            modelled, driven = ([x for x in pile if x.target == name] for pile in piles)
            if modelled:
                self.letters.append((name, modelled, driven))
                self._accept((where[0], name), modelled, driven)
        if clear:
            for storage, pile in zip(storages, piles, strict=True):
                burials = [letter.burial for letter in pile]
                storage.messages.clear_dead_letters(source, burials, now=now)
        self.look(where)

    @command(2, project=OneOf([0, 0, 1]), pick=OneOf(range(4)))
    def forward_again(self, project: int, pick: int) -> None:
        """By a node that was interrupted; in the other project it is news."""
        if not self.letters:
            return
        name, modelled, driven = self.letters[-1 - pick % len(self.letters)]
        now = self.clock.now()
        living = [number for number, x in enumerate(modelled) if now < x.message.expires_at]
        if living:
            self._accept(
                (project, name), [modelled[n] for n in living], [driven[n] for n in living]
            )

    def _accept(self, where: Where, modelled: list[DeadLetter], driven: list[DeadLetter]) -> None:
        letters = {id(self.model): modelled, id(self.opened.storage): driven}
        ref, now = self.at(where), self.clock.now()
        self.both(lambda s: s.messages.accept_dead_letters(ref, letters[id(s)], now=now))
        self.look(where)


def failure(opened: Opened, commands: Sequence[Command], *, watchful: bool) -> Exception | None:
    """What goes wrong in a conversation, if anything does; an answer or the driver itself."""
    try:
        Machine(opened, watchful=watchful).hold(commands)
    except Exception as error:  # noqa: BLE001  # a broken driver raises anything
        return error
    return None


def converse(opened: Opened, seed: int, length: int) -> None:
    """Hold the conversation of this seed; if it goes wrong say so in the shortest form."""
    commands, watchful = conversation(seed, length), seed % 2 == 0
    error = failure(opened, commands, watchful=watchful)
    if error is None:
        return

    def still_fails(some: list[Command]) -> bool:
        nonlocal commands, error
        another = failure(opened, some, watchful=watchful)
        if another:
            commands, error = some, another
        return another is not None

    shortest(commands, still_fails)
    told = "\n  ".join(map(repr, commands))
    raise AssertionError(f"seed {seed} (watchful: {watchful}):\n  {told}\n{error!r}") from error


def outcome(ask: Ask, storage: Storage) -> tuple[Any, ...]:
    """An answer or an error, so that they can be compared."""
    try:
        return "answer", ask(storage)
    except StaleSettings as stale:
        return "StaleSettings", stale.current
    except QueueingError as error:
        return type(error).__name__, None


def lines(answer: Any) -> list[str]:
    """A line for each thing in an answer, so that those that differ can be shown."""
    return re.sub(
        r"(?=\b(Message|DeadLetter|Claim|QueueEntry|Milestone)\()", "\n", repr(answer)
    ).split("\n")


def unnamed(letters: Sequence[DeadLetter]) -> list[DeadLetter]:
    """Without what each store may choose: a burial's name, a buried message's sequence."""
    return [
        letter._replace(burial="", message=letter.message._replace(sequence=0))
        for letter in letters
    ]
