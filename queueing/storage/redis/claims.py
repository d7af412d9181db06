"""Claims of a queue."""

from __future__ import annotations

from typing import Any, Final

from queueing.core.errors import ClaimNotFound, StaleSettings
from queueing.core.models import Claim, Claimed, ClaimTerms, Metadata, QueueRef
from queueing.storage.contract import ClaimStore
from queueing.storage.redis.announcing import Announcements
from queueing.storage.redis.connection import Connection
from queueing.storage.redis.keys import pack_id
from queueing.storage.redis.records import both, microseconds, unpack_letters, unpack_messages
from queueing.storage.redis.scripts import CLAIM, CLAIM_GET, RELEASE, RENEW

RETRY_SECONDS: Final = 60
"""How long a claiming step is recognized when it comes again."""


class RedisClaims(ClaimStore):
    def __init__(self, connection: Connection, announcements: Announcements) -> None:
        self._connection = connection
        self._announcements = announcements
        self._names = connection.names

    def claim(
        self, queue: QueueRef, terms: ClaimTerms, *, token: str, version: str, now: float
    ) -> Claimed:
        keys = self._names.queue(queue)
        ended = [keys.own(b"ended")]
        rule = terms.dead_letter
        letters: tuple[Any, ...] = ()
        if rule is not None:
            ttl = b"" if rule.ttl is None else rule.ttl
            letters = (rule.max_claims, rule.target.encode("utf-8", "surrogatepass"), ttl, token)
        ends = now + terms.ttl
        times = (*both(now), microseconds(ends), _gone_at(now, ends))
        arguments = (*times, pack_id(token), version, keys.ref)
        asked = (terms.limit, terms.ttl, terms.grace, *letters)
        answer: Any = [b"again"]
        rounds = self._connection.rounds()
        while answer[0] == b"again":
            next(rounds)
            answer = self._connection.run(CLAIM, keys, *arguments, *asked, keys=ended)
        if answer[0] == b"stale":
            raise StaleSettings(Metadata(answer[1], answer[2].decode()))
        if answer[0] == b"none":
            return Claimed(None, tuple(unpack_letters(answer[1])))
        return Claimed(_claim(token, answer[1:5]), tuple(unpack_letters(answer[5])))

    def get(self, queue: QueueRef, claim_id: str, *, now: float) -> Claim:
        keys = self._names.queue(queue)
        answer = self._connection.run(CLAIM_GET, keys, *both(now), pack_id(claim_id))
        if answer == b"missing":
            raise _not_found(claim_id)
        return _claim(claim_id, answer)

    def renew(self, queue: QueueRef, claim_id: str, terms: ClaimTerms, *, now: float) -> None:
        keys = self._names.queue(queue)
        ends = now + terms.ttl
        times = (*both(now), microseconds(ends), _gone_at(now, ends))
        arguments = (pack_id(claim_id), terms.ttl, terms.grace, keys.ref)
        if self._connection.run(RENEW, keys, *times, *arguments) == b"missing":
            raise _not_found(claim_id)

    def release(self, queue: QueueRef, claim_id: str, *, now: float) -> None:
        keys = self._names.queue(queue)
        times = (*both(now), _gone_at(now, now))
        terms = self._announcements.terms(keys)
        self._connection.run(RELEASE, keys, *times, pack_id(claim_id), keys.ref, *terms)


def _gone_at(now: float, ends: float) -> int:
    """When the record of a claim may go, in us: not before a repeat of the step that made it."""
    return microseconds(max(ends, now + RETRY_SECONDS))


def _claim(id: str, answer: list[Any]) -> Claim:
    fence, ttl, claimed_at, messages = answer
    return Claim(id, int(fence), ttl, float(claimed_at), tuple(unpack_messages(messages)))


def _not_found(claim_id: str) -> ClaimNotFound:
    return ClaimNotFound(f"There is no claim {claim_id} in this queue.")
