"""The contract again, in memory: dictionaries, linear scans, one lock. The oracle of every driver.

Nothing is ever brought back or swept on the way: each answer is worked out from what was done and
from `now`. Dictionaries keep the order of insertion, and that is the order of sequences.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from queueing.core.errors import (
    ClaimExpired,
    ClaimNotFound,
    IdempotencyKeyReused,
    MessageIsClaimed,
    MetadataChanged,
    QueueNotFound,
    StaleSettings,
    WrongClaim,
)
from queueing.core.models import (
    NO_METADATA,
    Claim,
    Claimed,
    ClaimTerms,
    DeadLetter,
    DeadLetterRule,
    Draft,
    IdempotencyKey,
    Message,
    Metadata,
    Milestone,
    Outlook,
    Posted,
    QueueEntry,
    QueueRef,
    Stats,
    message_id,
)
from queueing.storage.contract import (
    BURIAL_SECONDS,
    DEAD_LETTERS_PER_STEP,
    RETRY_SECONDS,
    Announces,
    ClaimStore,
    MessageStore,
    QueueStore,
    Storage,
)


@dataclass
class Kept:
    """A message and what hides it: the end of its delay, and the claim that took it last."""

    message: Message
    free_at: float
    claim_id: str | None = None

    @property
    def ends_at(self) -> float:
        return self.message.expires_at

    def live_until(self, ends_at: float, ttl: int) -> None:
        self.message = self.message._replace(expires_at=ends_at, ttl=ttl)


@dataclass
class Hold:
    fence: int
    ttl: int
    claimed_at: float

    @property
    def ends_at(self) -> float:
        return self.claimed_at + self.ttl


@dataclass
class Key:
    digest: bytes
    ids: tuple[str, ...]
    ends_at: float


@dataclass
class Letter:
    letter: DeadLetter

    @property
    def ends_at(self) -> float:
        return self.letter.message.expires_at


@dataclass
class Burial:
    ends_at: float


@dataclass
class Queue:
    """All there is about one queue; `metadata` is None while it does not exist."""

    metadata: Metadata | None = None
    messages: dict[str, Kept] = field(default_factory=dict)
    claims: dict[str, Hold] = field(default_factory=dict)
    pile: dict[str, Letter] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    burials: dict[str, Burial] = field(default_factory=dict)
    last_sequence: int = 0
    last_fence: int = 0

    def existing(self, now: float) -> list[Kept]:
        return [kept for kept in self.messages.values() if now < kept.ends_at]

    def find(self, id: str, now: float) -> Kept | None:
        kept = self.messages.get(id)
        return kept if kept and now < kept.ends_at else None

    def claim(self, id: str | None, now: float) -> Hold | None:
        hold = self.claims.get(id) if id else None
        return hold if hold and now < hold.ends_at else None

    def holder(self, kept: Kept, now: float) -> str | None:
        return kept.claim_id if self.claim(kept.claim_id, now) else None

    def free(self, now: float) -> list[Kept]:
        return [k for k in self.existing(now) if k.free_at <= now and not self.holder(k, now)]

    def seen(self, kept: Kept, now: float) -> Message:
        return kept.message._replace(claim_id=self.holder(kept, now))

    def append(self, message: Message, free_at: float, now: float) -> None:
        self.last_sequence = max(self.last_sequence + 1, int(now * 1_000_000))
        self.messages.pop(message.id, None)  # an expired one must not lend its place
        self.messages[message.id] = Kept(
            message._replace(sequence=self.last_sequence, claim_id=None), free_at
        )

    def under(self, claim_id: str, now: float) -> list[Kept]:
        return [kept for kept in self.existing(now) if self.holder(kept, now) == claim_id]

    def outlive(self, kept: Kept, terms: ClaimTerms, now: float) -> None:
        if kept.ends_at < now + terms.ttl:
            kept.live_until(now + terms.ttl + terms.grace, terms.ttl + terms.grace)

    def bury(self, kept: Kept, rule: DeadLetterRule, burial: str, now: float) -> None:
        del self.messages[kept.message.id]
        if rule.ttl is not None:
            kept.live_until(now + rule.ttl, rule.ttl)
        self.pile[burial] = Letter(DeadLetter(burial, rule.target, kept.message))

    def letters(self, now: float) -> list[DeadLetter]:
        lying = [letter.letter for letter in self.pile.values() if now < letter.ends_at]
        return lying[:DEAD_LETTERS_PER_STEP]


Verb = TypeVar("Verb", bound=Callable[..., Any])


def step(verb: Verb) -> Verb:
    """One at a time; and what was done under a token is answered again, not done again."""

    @functools.wraps(verb)
    def alone(self: ModelPart, *args: Any, **given: Any) -> Any:
        with self.shared.lock:
            if "token" not in given:
                return verb(self, *args, **given)
            request = (verb.__qualname__, args[0], given["token"])
            answered_at, answer = self.shared.answers.get(request, (None, None))
            if answered_at is None or given["now"] >= answered_at + RETRY_SECONDS:
                answer = verb(self, *args, **given)
                self.shared.answers[request] = (given["now"], answer)
            return answer

    return alone  # type: ignore[return-value]  # same signature, which a wrapper cannot say


class Shared:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.queues: defaultdict[QueueRef, Queue] = defaultdict(Queue)
        self.answers: dict[tuple[str, QueueRef, str], tuple[float, Any]] = {}


class ModelPart:
    def __init__(self, shared: Shared) -> None:
        self.shared = shared

    def at(self, queue: QueueRef) -> Queue:
        return self.shared.queues[queue]


class ModelQueues(ModelPart, QueueStore):
    @step
    def create(self, queue: QueueRef, document: bytes, *, token: str, now: float) -> bool:
        if self.at(queue).metadata is not None:
            return False
        self.at(queue).metadata = Metadata.of(document)
        return True

    @step
    def fetch(self, queue: QueueRef) -> Metadata | None:
        return self.at(queue).metadata

    @step
    def replace(
        self, queue: QueueRef, document: bytes, *, expected: str, token: str, now: float
    ) -> None:
        current = self.at(queue).metadata
        if current is None:
            raise QueueNotFound(queue.name)
        if current.version != expected:
            raise MetadataChanged(queue.name)
        self.at(queue).metadata = Metadata.of(document)

    @step
    def delete(self, queue: QueueRef, *, now: float) -> None:
        state = self.at(queue)
        state.metadata = None
        state.messages.clear()
        state.claims.clear()

    @step
    def page(self, project: str, *, after: str, limit: int) -> list[QueueEntry]:
        entries = [entry for entry in self._of(project) if entry.name.encode() > after.encode()]
        return sorted(entries, key=lambda entry: entry.name.encode())[:limit]

    @step
    def count(self, project: str) -> int:
        return len(list(self._of(project)))

    def _of(self, project: str) -> Iterator[QueueEntry]:
        for queue, state in self.shared.queues.items():
            if queue.project == project and state.metadata is not None:
                yield QueueEntry(queue.name, state.metadata)


class ModelMessages(ModelPart, MessageStore):
    @step
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
        state = self.at(queue)
        known = state.keys.get(idempotency.key) if idempotency else None
        if known and idempotency and now < known.ends_at:
            if known.digest != idempotency.digest:
                raise IdempotencyKeyReused(idempotency.key)
            return Posted(known.ids, replayed=True)
        current = state.metadata or NO_METADATA
        if current.version != version:
            raise StaleSettings(current)
        state.metadata = current
        ids = tuple(message_id(token, index) for index in range(len(drafts)))
        for id, (body, ttl, delay, checksum) in zip(ids, drafts, strict=True):
            ends_at = now + ttl
            message = Message(id, 0, body, ttl, now, ends_at, client_id, None, 0, checksum)
            state.append(message, now + delay if delay else 0.0, now)
        if idempotency:
            state.keys[idempotency.key] = Key(idempotency.digest, ids, idempotency.expires_at)
        return Posted(ids)

    @step
    def get(self, queue: QueueRef, ids: Sequence[str], *, now: float) -> list[Message]:
        state = self.at(queue)
        found = [state.find(id, now) for id in dict.fromkeys(ids)]
        return [state.seen(kept, now) for kept in found if kept]

    @step
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
        state = self.at(queue)
        shown = [
            state.seen(kept, now)
            for kept in state.existing(now)
            if kept.message.sequence > after
            and (hide_client is None or kept.message.client_id != hide_client)
            and (include_claimed or not state.holder(kept, now))
            and (include_delayed or kept.free_at <= now)
        ]
        return shown[:limit]

    @step
    def delete(self, queue: QueueRef, id: str, *, claim_id: str | None, now: float) -> None:
        state = self.at(queue)
        kept = state.find(id, now)
        if kept is None:
            return
        holder = state.holder(kept, now)
        if holder and claim_id is None:
            raise MessageIsClaimed(id)
        if holder and claim_id != holder and state.claim(claim_id, now):
            raise WrongClaim(id)
        if claim_id != holder:
            raise ClaimExpired(id)
        del state.messages[id]

    @step
    def delete_many(
        self, queue: QueueRef, ids: Sequence[str], *, claim_ids: Sequence[str] | None, now: float
    ) -> None:
        state = self.at(queue)
        there = {id: kept for id in ids if (kept := state.find(id, now))}
        for id, kept in there.items():
            if claim_ids is not None and state.holder(kept, now) not in claim_ids:
                raise WrongClaim(id)
        for id in there:
            del state.messages[id]

    @step
    def pop(self, queue: QueueRef, limit: int, *, token: str, now: float) -> list[Message]:
        state = self.at(queue)
        popped = [state.seen(kept, now) for kept in state.free(now)[:limit]]
        for message in popped:
            del state.messages[message.id]
        return popped

    @step
    def purge(self, queue: QueueRef, *, now: float) -> None:
        self.at(queue).messages.clear()

    @step
    def stats(self, queue: QueueRef, *, now: float) -> Stats:
        state = self.at(queue)
        there = state.existing(now)
        if not there:
            return Stats(0, 0)
        claimed = sum(state.holder(kept, now) is not None for kept in there)
        ends = [Milestone(k.message.id, k.message.posted_at) for k in (there[0], there[-1])]
        return Stats(len(there) - claimed, claimed, *ends)

    @step
    def outlook(self, queue: QueueRef, *, limit: int, now: float) -> Outlook:
        state = self.at(queue)
        ends = [kept.free_at for kept in state.existing(now)]
        ends += [hold.ends_at for id, hold in state.claims.items() if state.under(id, now)]
        later = [end for end in ends if end > now]
        return Outlook(len(state.free(now)[:limit]), min(later, default=None))

    @step
    def dead_letters(self, queue: QueueRef, *, now: float) -> list[DeadLetter]:
        return self.at(queue).letters(now)

    @step
    def accept_dead_letters(
        self, queue: QueueRef, letters: Sequence[DeadLetter], *, now: float
    ) -> None:
        state = self.at(queue)
        for burial, _, message in letters:
            known = state.burials.get(burial)
            if known and now < known.ends_at:
                continue
            state.metadata = state.metadata or NO_METADATA
            state.burials[burial] = Burial(now + BURIAL_SECONDS)
            if now < message.expires_at and not state.find(message.id, now):
                state.append(message, 0.0, now)

    @step
    def clear_dead_letters(self, queue: QueueRef, burials: Sequence[str], *, now: float) -> None:
        for burial in burials:
            self.at(queue).pile.pop(burial, None)


class ModelClaims(ModelPart, ClaimStore):
    @step
    def claim(
        self, queue: QueueRef, terms: ClaimTerms, *, token: str, version: str, now: float
    ) -> Claimed:
        state = self.at(queue)
        if state.metadata is None:
            return Claimed(None, tuple(state.letters(now)))
        if state.metadata.version != version:
            raise StaleSettings(state.metadata)
        rule = terms.dead_letter
        taken: list[Kept] = []
        buried = 0
        for kept in state.free(now):
            if len(taken) == terms.limit:
                break
            if rule and kept.message.claim_count >= rule.max_claims:
                if buried == DEAD_LETTERS_PER_STEP:
                    break
                state.bury(kept, rule, f"{token}{buried:04x}", now)
                buried += 1
            else:
                taken.append(kept)
        claim = self._take(state, taken, terms, token, now) if taken else None
        return Claimed(claim, tuple(state.letters(now)))

    def _take(
        self, state: Queue, taken: list[Kept], terms: ClaimTerms, token: str, now: float
    ) -> Claim:
        state.last_fence = max(state.last_fence + 1, int(now * 1_000_000))
        state.claims[token] = Hold(state.last_fence, terms.ttl, now)
        for kept in taken:
            kept.claim_id = token
            count = kept.message.claim_count + (terms.dead_letter is not None)
            kept.message = kept.message._replace(claim_count=count)
            state.outlive(kept, terms, now)
        return self._seen(state, token, now)

    def _seen(self, state: Queue, claim_id: str, now: float) -> Claim:
        hold = state.claim(claim_id, now)
        if hold is None:
            raise ClaimNotFound(claim_id)
        messages = tuple(state.seen(kept, now) for kept in state.under(claim_id, now))
        return Claim(claim_id, hold.fence, hold.ttl, hold.claimed_at, messages)

    @step
    def get(self, queue: QueueRef, claim_id: str, *, now: float) -> Claim:
        return self._seen(self.at(queue), claim_id, now)

    @step
    def renew(self, queue: QueueRef, claim_id: str, terms: ClaimTerms, *, now: float) -> None:
        state = self.at(queue)
        hold = state.claim(claim_id, now)
        if hold is None:
            raise ClaimNotFound(claim_id)
        for kept in state.under(claim_id, now):
            state.outlive(kept, terms, now)
        hold.ttl, hold.claimed_at = terms.ttl, now

    @step
    def release(self, queue: QueueRef, claim_id: str, *, now: float) -> None:
        self.at(queue).claims.pop(claim_id, None)


class ModelStorage(Storage, Announces):
    resends = True

    def __init__(self) -> None:
        self.shared = Shared()
        self.queues = ModelQueues(self.shared)
        self.messages = ModelMessages(self.shared)
        self.claims = ModelClaims(self.shared)

    def time(self) -> float:
        return time.time()

    def ping(self) -> None:
        pass

    def durability(self) -> Mapping[str, str | int | bool]:
        return {"engine": "model", "promise": "Everything is lost when the process ends."}

    def collect(self, *, now: float, limit: int) -> int:
        with self.shared.lock:
            over = [
                (things, name)
                for queue in self.shared.queues.values()
                for things in (queue.messages, queue.claims, queue.pile, queue.keys, queue.burials)
                for name, thing in things.items()
                if thing.ends_at <= now
            ][:limit]
            for things, name in over:
                del things[name]
            return len(over)

    def piles(self, *, limit: int) -> list[QueueRef]:
        with self.shared.lock:
            return [queue for queue, state in self.shared.queues.items() if state.pile][:limit]

    def listen(self, hear: Callable[[QueueRef, int], None]) -> None:
        pass  # there is no other open store whose steps could be heard of

    def follow(self, queue: QueueRef) -> bool:
        return True

    def unfollow(self, queue: QueueRef) -> None:
        pass

    def close(self) -> None:
        pass
