"""One queue of one store, with the verbs in short, so that a test reads as the story it tells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from queueing.core.clock import ManualClock
from queueing.core.models import (
    Claim,
    Claimed,
    ClaimTerms,
    DeadLetter,
    DeadLetterRule,
    Draft,
    IdempotencyKey,
    Message,
    Metadata,
    Outlook,
    Posted,
    QueueRef,
    Stats,
    request_token,
)
from queueing.storage.contract import Storage

TTL = 3600
CLAIM_TTL = 300
GRACE = 60
MOMENT = 1 / 64
"""Seconds: exact in binary, no whole number of milliseconds, a whole number of microseconds."""


@dataclass(frozen=True)
class Subject:
    """A queue under test. `version` is that of the settings it has, as the service would know."""

    storage: Storage
    ref: QueueRef
    clock: ManualClock
    version: str = ""

    def sibling(self, name: str) -> Subject:
        """Another queue of the same project."""
        return replace(self, ref=self.ref._replace(name=name))

    def elsewhere(self, project: str) -> Subject:
        """The queue of this name in another project."""
        return replace(self, ref=self.ref._replace(project=project))

    def knowing(self, version: str) -> Subject:
        """The same queue, asked by somebody who has seen settings of this version."""
        return replace(self, version=version)

    @property
    def now(self) -> float:
        return self.clock.now()

    # Queues

    def create(self, document: bytes = b"{}", token: str | None = None) -> bool:
        return self.storage.queues.create(
            self.ref, document, token=token or request_token(), now=self.now
        )

    @property
    def metadata(self) -> Metadata:
        metadata = self.storage.queues.fetch(self.ref)
        assert metadata is not None, "the queue does not exist"
        return metadata

    def exists(self) -> bool:
        return self.storage.queues.fetch(self.ref) is not None

    def replace(self, document: bytes, *, expected: str, token: str | None = None) -> None:
        self.storage.queues.replace(
            self.ref, document, expected=expected, token=token or request_token(), now=self.now
        )

    def drop(self) -> None:
        self.storage.queues.delete(self.ref, now=self.now)

    # Messages

    def post_drafts(
        self,
        drafts: Sequence[Draft],
        *,
        client: str = "client",
        token: str | None = None,
        key: IdempotencyKey | None = None,
    ) -> Posted:
        return self.storage.messages.post(
            self.ref,
            drafts,
            client_id=client,
            token=token or request_token(),
            version=self.version,
            now=self.now,
            idempotency=key,
        )

    def post(self, *bodies: bytes, ttl: int = TTL, delay: int = 0, **more: Any) -> tuple[str, ...]:
        """Post one message per body, in one step; their ids."""
        return self.post_drafts([Draft(body, ttl, delay) for body in bodies], **more).ids

    def post_number(self, number: int, **more: Any) -> tuple[str, ...]:
        """Post so many messages in one step, with bodies `0`, `1`, ..."""
        return self.post(*(b"%d" % index for index in range(number)), **more)

    def get(self, *ids: str) -> list[Message]:
        return self.storage.messages.get(self.ref, ids, now=self.now)

    def page(
        self,
        *,
        after: int = 0,
        limit: int = 100_000,
        hide: str | None = None,
        claimed: bool = False,
        delayed: bool = False,
    ) -> list[Message]:
        return self.storage.messages.page(
            self.ref,
            after=after,
            limit=limit,
            hide_client=hide,
            include_claimed=claimed,
            include_delayed=delayed,
            now=self.now,
        )

    def everything(self) -> list[Message]:
        """Every message that exists, in order."""
        return self.page(claimed=True, delayed=True)

    def delete(self, id: str, claim_id: str | None = None) -> None:
        self.storage.messages.delete(self.ref, id, claim_id=claim_id, now=self.now)

    def delete_many(self, *ids: str, claim_ids: Sequence[str] | None = None) -> None:
        self.storage.messages.delete_many(self.ref, ids, claim_ids=claim_ids, now=self.now)

    def pop(self, limit: int = 1, token: str | None = None) -> list[Message]:
        return self.storage.messages.pop(
            self.ref, limit, token=token or request_token(), now=self.now
        )

    def purge(self) -> None:
        self.storage.messages.purge(self.ref, now=self.now)

    def stats(self) -> Stats:
        return self.storage.messages.stats(self.ref, now=self.now)

    def outlook(self, limit: int = 100) -> Outlook:
        return self.storage.messages.outlook(self.ref, limit=limit, now=self.now)

    def counts(self) -> tuple[int, int]:
        """How many are free, how many claimed."""
        stats = self.stats()
        return stats.free, stats.claimed

    # Claims

    def claim(
        self,
        limit: int = 10,
        *,
        ttl: int = CLAIM_TTL,
        grace: int = GRACE,
        rule: DeadLetterRule | None = None,
        token: str | None = None,
    ) -> Claimed:
        return self.storage.claims.claim(
            self.ref,
            ClaimTerms(ttl, grace, limit, rule),
            token=token or request_token(),
            version=self.version,
            now=self.now,
        )

    def take(self, limit: int = 10, **more: Any) -> Claim:
        """Claim, where something is there to be claimed."""
        claim = self.claim(limit, **more).claim
        assert claim is not None, "nothing was claimed"
        return claim

    def claimable(self, limit: int = 100_000) -> list[bytes]:
        """Which bodies a claim gets just now; its claim is released again."""
        claim = self.claim(limit, ttl=60, grace=0).claim
        if claim is None:
            return []
        self.release(claim.id)
        return bodies(claim.messages)

    def held(self, claim_id: str) -> Claim:
        return self.storage.claims.get(self.ref, claim_id, now=self.now)

    def renew(self, claim_id: str, *, ttl: int = CLAIM_TTL, grace: int = GRACE) -> None:
        self.storage.claims.renew(self.ref, claim_id, ClaimTerms(ttl, grace), now=self.now)

    def release(self, claim_id: str) -> None:
        self.storage.claims.release(self.ref, claim_id, now=self.now)

    # Dead letters

    def pile(self) -> list[DeadLetter]:
        return self.storage.messages.dead_letters(self.ref, now=self.now)

    def accept(self, letters: Iterable[DeadLetter]) -> None:
        self.storage.messages.accept_dead_letters(self.ref, list(letters), now=self.now)

    def clear(self, letters: Iterable[DeadLetter]) -> None:
        burials = [letter.burial for letter in letters]
        self.storage.messages.clear_dead_letters(self.ref, burials, now=self.now)


def bodies(messages: Iterable[Message]) -> list[bytes]:
    return [message.body for message in messages]


def ids(messages: Iterable[Message]) -> list[str]:
    return [message.id for message in messages]
