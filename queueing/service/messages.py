"""Messages: post, read, delete, pop."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from secrets import token_hex
from typing import Final, Protocol

from queueing.core import rules
from queueing.core.clock import Clock
from queueing.core.errors import (
    InvalidRequest,
    KeyUnavailable,
    MessageNotFound,
    StaleSettings,
)
from queueing.core.limits import Limits
from queueing.core.models import (
    DeadLetter,
    Draft,
    IdempotencyKey,
    Message,
    Posted,
    QueueRef,
    message_id,
    request_token,
)
from queueing.core.reserved import QueueSettings
from queueing.service import bodies, markers
from queueing.service.settings import ATTEMPTS, KnownSettings, keep_changing
from queueing.service.waiting import Patience, WaitingRoom
from queueing.storage.contract import Storage

NO_VERSION: Final = "none"  # no metadata is of this version
NO_CLAIM: Final = "none"  # no claim has this id

DraftList = list[Draft]
MessageList = list[Message]  # a name of its own, as `Messages.list` hides the type in the class


class Posting(Protocol):
    """One message as asked for; None where nothing was said. `body` is bytes or msgspec.Raw."""

    @property
    def body(self) -> bytes: ...
    @property
    def ttl(self) -> int | None: ...
    @property
    def delay(self) -> int | None: ...


class Messages:
    """What clients ask for about the messages of a queue. Threads share it. Without a room nobody waits.

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
        self._store = storage.messages
        self._clock = clock
        self._limits = limits
        self._known = known or KnownSettings(storage, limits)
        self._room = room or WaitingRoom(storage, clock, max_waiters=0)
        self._sealer = bodies.sealer(limits)

    def check_size(self, queue: QueueRef, size: int) -> None:
        """Refuse a post's body that is too long for the queue; asks the store for its settings.

        For posts that fail to parse: their size is checked before their syntax (spec 7.2).

        :raises OverLimit: titled API
        """
        rules.post_size(size, self._limits.max_messages_post_size)
        self._known.refuse_size(queue, size)

    def post(
        self,
        queue: QueueRef,
        postings: Sequence[Posting],
        *,
        body: bytes,
        client_id: str,
        idempotency_key: str | None = None,
    ) -> Posted:
        """Post all or none, in order; the queue is made if it is missing.

        `body` is the request's: its length is limited, its SHA-256 goes with the key.

        :raises OverLimit: titled API; the body is too long for the queue, a ttl or delay out of bounds
        :raises InvalidRequest: titled API; there is no message
        :raises IdempotencyKeyReused: the key came with another body before
        :raises KeyUnavailable: the queue encrypts its messages, and there is no key here
        """
        size = len(body)
        now = self._clock.now()
        key = None
        if idempotency_key is not None:
            digest = hashlib.sha256(body).digest()
            expires_at = now + self._limits.idempotency_window_seconds
            key = IdempotencyKey(idempotency_key, digest, expires_at)
        token = request_token()
        known = self._known.of(queue)
        for _ in range(ATTEMPTS):
            version = known.version
            if size > known.max_post_size:
                if key is None:
                    known = self._known.refuse_size(queue, size)
                    version = known.version
                else:
                    # Done before? Then its answer stands, whatever the settings are now. If not,
                    # the store says what they are, as this is not their version.
                    version = NO_VERSION
            try:
                drafts = self._drafts(queue, postings, known, token)
            except InvalidRequest:
                self.check_size(queue, size)  # a body that is too long is refused as such
                raise
            except KeyUnavailable:
                fresh = self._known.fresh(queue)
                if fresh.version == known.version:
                    raise
                known = fresh  # it need not be encrypted any more
                continue
            try:
                posted = self._store.post(
                    queue,
                    drafts,
                    client_id=client_id,
                    token=token,
                    version=version,
                    now=now,
                    idempotency=key,
                )
            except StaleSettings as stale:
                known = self._known.learn(queue, stale.current)
                if version == NO_VERSION:
                    rules.post_size(size, known.max_post_size)
            else:
                if not posted.replayed and self._room.is_awaited(queue):
                    self._announce(queue, drafts)
                return posted
        raise keep_changing(queue)

    def get(self, queue: QueueRef, id: str) -> Message:
        """:raises MessageNotFound:"""
        return self._existing(queue, [id])[0]

    def get_many(self, queue: QueueRef, ids: Sequence[str]) -> MessageList:
        """Those that exist, in the order of `ids`, each once.

        :raises MessageNotFound: none of them exists
        :raises OverLimit: titled API; 0 or too many ids
        """
        rules.ids(ids, self._limits)
        return self._existing(queue, ids)

    def list(
        self,
        queue: QueueRef,
        *,
        marker: str | None,
        limit: int | None,
        client_id: str,
        echo: bool,
        include_claimed: bool,
        include_delayed: bool,
        patience: Patience | None = None,
    ) -> tuple[MessageList, str | None]:
        """A page and the marker after it (None if the page is empty).

        With `patience` it waits until the page is not empty.

        `client_id` "": anonymous, nothing is hidden from it. A marker that is none of this queue's
        gives an empty page.

        :raises OverLimit: titled API; `limit` is not within 1..max_messages_per_page
        """
        limit = rules.page_limit(limit, self._limits.max_messages_per_page)
        after = markers.START if marker is None else markers.read(queue, marker)
        if after is None:
            return [], None

        def read() -> MessageList:
            return self._store.page(
                queue,
                after=after,
                limit=limit,
                hide_client=None if echo or not client_id else client_id,
                include_claimed=include_claimed,
                include_delayed=include_delayed,
                now=self._clock.now(),
            )

        messages = self._room.wait(queue, read, patience, wants=0)
        if not messages:
            return [], None
        return self._opened(queue, messages), markers.write(queue, messages[-1].sequence)

    def delete(self, queue: QueueRef, id: str, claim_id: str | None) -> None:
        """Delete one message; no matter if it is missing.

        :raises MessageIsClaimed: it is under a claim and `claim_id` is None
        :raises WrongClaim: it is under another claim than the one named, which exists
        :raises ClaimExpired: the claim named does not exist, or the message is under none
        """
        if not rules.is_id(id):
            return
        if claim_id is not None and not rules.is_id(claim_id):
            claim_id = NO_CLAIM
        self._store.delete(queue, id, claim_id=claim_id, now=self._clock.now())

    def delete_many(
        self, queue: QueueRef, ids: Sequence[str], claim_ids: Sequence[str] | None
    ) -> None:
        """Delete those that exist, claimed or not.

        With `message_delete_with_claim_id`, `claim_ids` must be given and hold all that exist;
        otherwise they count for nothing.

        :raises OverLimit: titled API; 0 or too many ids
        :raises InvalidRequest: titled API; claim_ids are needed and missing
        :raises WrongClaim: a message is not under one of these claims; nothing was deleted
        """
        rules.ids(ids, self._limits)
        if not self._limits.message_delete_with_claim_id:
            claim_ids = None
        elif not claim_ids:
            raise InvalidRequest(
                "claim_ids must name the claims that hold the messages to delete. Got none."
            )
        else:
            claim_ids = [id for id in dict.fromkeys(claim_ids) if rules.is_id(id)]
        possible = [id for id in dict.fromkeys(ids) if rules.is_id(id)]
        if possible:
            self._store.delete_many(queue, possible, claim_ids=claim_ids, now=self._clock.now())

    def pop(self, queue: QueueRef, limit: int, *, patience: Patience | None = None) -> MessageList:
        """Delete up to `limit` of the oldest free messages and return them.

        With `patience` it waits until there are some.

        :raises OverLimit: titled API; not within 1..max_messages_per_claim_or_pop
        """
        limit = rules.pop_limit(limit, self._limits)
        return self._room.wait(queue, lambda: self._pop(queue, limit), patience, wants=limit) or []

    def _pop(self, queue: QueueRef, limit: int) -> MessageList:
        now = self._clock.now()
        messages = self._store.pop(queue, limit, token=request_token(), now=now)
        try:
            return self._opened(queue, messages)
        except KeyUnavailable:
            # Nobody has read them and they exist nowhere else: put them back, behind the others.
            letters = [DeadLetter(token_hex(16), queue.name, message) for message in messages]
            self._store.accept_dead_letters(queue, letters, now=now)
            raise

    def _announce(self, queue: QueueRef, drafts: DraftList) -> None:
        """Call those who wait here for what was posted."""
        delayed = sum(1 for draft in drafts if draft.delay)
        if len(drafts) > delayed:
            self._room.announce(queue, len(drafts) - delayed)
        if delayed:
            self._room.announce(queue, 0)

    def _existing(self, queue: QueueRef, ids: Sequence[str]) -> MessageList:
        possible = [id for id in ids if rules.is_id(id)]
        messages = self._store.get(queue, possible, now=self._clock.now()) if possible else []
        if not messages:
            one = f"message {rules.quoted(ids[0])}" if len(ids) == 1 else "one of these messages"
            raise MessageNotFound(f"There is no {one} in queue {queue.name!r}.")
        return self._opened(queue, messages)

    def _opened(self, queue: QueueRef, messages: MessageList) -> MessageList:
        opened = bodies.opened(queue, messages, self._sealer)
        return messages if opened is messages else list(opened)

    def _drafts(
        self, queue: QueueRef, postings: Sequence[Posting], known: QueueSettings, token: str
    ) -> DraftList:
        """The messages as they are stored: defaults filled in, bodies sealed."""
        if not postings:
            raise InvalidRequest("messages must hold at least one message. Got none.")
        limits = self._limits
        drafts = []
        for index, posting in enumerate(postings):
            ttl, delay, body = posting.ttl, posting.delay, bytes(posting.body)
            ttl = known.message_ttl if ttl is None else rules.message_ttl(ttl, limits, index)
            if delay is None:
                delay = known.message_delay
            else:
                rules.message_delay(delay, limits, index)
            digest = bodies.checksum(body) if limits.enable_checksum else None
            if known.encrypted:
                id = message_id(token, index)
                body = self._sealer.seal(body, bodies.owner(queue, id))
            drafts.append(Draft(body, ttl, delay, digest))
        return drafts
