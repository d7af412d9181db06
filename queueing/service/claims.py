"""Claims: take, look, renew, release."""

from __future__ import annotations

from queueing.core import rules
from queueing.core.clock import Clock
from queueing.core.errors import (
    ClaimNotFound,
    KeyUnavailable,
    StaleSettings,
    StorageUnavailable,
)
from queueing.core.limits import Limits
from queueing.core.models import Claim, Claimed, ClaimTerms, QueueRef, request_token
from queueing.service import bodies
from queueing.service.dead_letters import ROUNDS, DeadLetters
from queueing.service.settings import ATTEMPTS, KnownSettings, keep_changing
from queueing.service.waiting import Patience, WaitingRoom
from queueing.storage.contract import DEAD_LETTERS_PER_STEP, UNKNOWN, Storage


class Claims:
    """What clients ask for about the claims of a queue. Threads share it. Without a room nobody waits.

    :raises SetupError: a key is configured, but the package that encrypts is not installed
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        limits: Limits,
        known: KnownSettings | None = None,
        room: WaitingRoom | None = None,
    ) -> None:
        self._store = storage.claims
        self._clock = clock
        self._limits = limits
        self._known = known or KnownSettings(storage, limits)
        self._room = room or WaitingRoom(storage, clock, max_waiters=0)
        self._dead_letters = DeadLetters(storage, clock, self._room.announce)
        self._sealer = bodies.sealer(limits)

    def create(
        self,
        queue: QueueRef,
        *,
        ttl: int | None,
        grace: int | None,
        limit: int | None,
        patience: Patience | None = None,
    ) -> Claim | None:
        """Claim the oldest free messages; None when there are none. Dead letters go on their way.

        With `patience` it waits until there are some.

        :raises OverLimit: titled API
        :raises KeyUnavailable: a body cannot be opened here; the messages are free again
        """
        limits = self._limits
        limit = rules.page_limit(limit, limits.max_messages_per_claim_or_pop)
        ttl = rules.claim_ttl(ttl, limits)
        grace = rules.claim_grace(grace, limits)
        if patience is None:
            return self._create(queue, ttl, grace, limit)
        return self._room.wait(
            queue, lambda: self._create(queue, ttl, grace, limit), patience, wants=limit
        )

    def _create(self, queue: QueueRef, ttl: int, grace: int, limit: int) -> Claim | None:
        for _ in range(ROUNDS):
            claim, letters = self._step(queue, ttl, grace, limit)
            if letters:
                try:
                    self._dead_letters.forward(queue, letters)
                except StorageUnavailable:
                    if claim is None:
                        raise
                    # The claim stands, so its holder must hear of it. The letters stay on the
                    # pile, for whoever claims or sweeps next.
            if claim is not None:
                return self._opened(queue, claim)
            if len(letters) < DEAD_LETTERS_PER_STEP:
                return None
            # The step may have ended at the most that it buries, with free messages behind them.
        return None

    def get(self, queue: QueueRef, claim_id: str) -> Claim:
        """The claim and the messages that are still under it.

        :raises ClaimNotFound: it never was, was released, or is over
        :raises KeyUnavailable: a body cannot be opened here
        """
        _possible(claim_id)
        claim = self._store.get(queue, claim_id, now=self._clock.now())
        messages = bodies.opened(queue, claim.messages, self._sealer)
        return claim if messages is claim.messages else claim._replace(messages=tuple(messages))

    def renew(self, queue: QueueRef, claim_id: str, *, ttl: int | None, grace: int | None) -> None:
        """Start the claim's time again; what is not said is the configured default.

        :raises OverLimit: titled API
        :raises ClaimNotFound: it never was, was released, or is over
        """
        terms = ClaimTerms(
            rules.claim_ttl(ttl, self._limits), rules.renewal_grace(grace, self._limits)
        )
        _possible(claim_id)
        self._store.renew(queue, claim_id, terms, now=self._clock.now())

    def release(self, queue: QueueRef, claim_id: str) -> None:
        """End the claim; no matter if there is none."""
        if rules.is_id(claim_id):
            self._store.release(queue, claim_id, now=self._clock.now())
            self._room.announce(queue, UNKNOWN)

    def _step(self, queue: QueueRef, ttl: int, grace: int, limit: int) -> Claimed:
        now = self._clock.now()
        token = request_token()
        known = self._known.of(queue)
        for _ in range(ATTEMPTS):
            terms = ClaimTerms(ttl, grace, limit, known.dead_letter)
            try:
                return self._store.claim(queue, terms, token=token, version=known.version, now=now)
            except StaleSettings as stale:
                known = self._known.learn(queue, stale.current)
        raise keep_changing(queue)

    def _opened(self, queue: QueueRef, claim: Claim) -> Claim:
        try:
            messages = bodies.opened(queue, claim.messages, self._sealer)
        except KeyUnavailable:
            # Nobody hears of this claim: its messages must not wait for its end.
            self._store.release(queue, claim.id, now=self._clock.now())
            raise
        return claim if messages is claim.messages else claim._replace(messages=tuple(messages))


def _possible(claim_id: str) -> None:
    if not rules.is_id(claim_id):
        raise ClaimNotFound(f"There is no claim {rules.quoted(claim_id)} in this queue.")
