"""Messages: post, read, delete, pop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from queueing.core.clock import Clock
from queueing.core.limits import Limits
from queueing.core.models import Message, Posted, QueueRef
from queueing.storage.contract import Storage


class Posting(Protocol):
    """One message as asked for; None where nothing was said. `body` is bytes or msgspec.Raw."""

    @property
    def body(self) -> bytes: ...
    @property
    def ttl(self) -> int | None: ...
    @property
    def delay(self) -> int | None: ...


class Messages:
    def __init__(self, storage: Storage, clock: Clock, limits: Limits) -> None: ...

    def check_size(self, queue: QueueRef, size: int) -> None:
        """Refuse a post's body that is too long for the queue; asks the store for its settings.

        For posts that fail to parse: their size is checked before their syntax (spec 7.2).
        :raises OverLimit: titled API
        """

    def post(
        self, queue: QueueRef, postings: Sequence[Posting], *, body: bytes, client_id: str,
        idempotency_key: str | None = None,
    ) -> Posted:
        """Post all or none. `body` is the request's: its length is limited, its SHA-256 goes with the key."""

    def get(self, queue: QueueRef, id: str) -> Message:
        """:raises MessageNotFound:"""

    def get_many(self, queue: QueueRef, ids: Sequence[str]) -> list[Message]:
        """:raises MessageNotFound: none of them exists; :raises OverLimit: 0 or too many ids"""

    def list(
        self, queue: QueueRef, *, marker: str | None, limit: int | None, client_id: str, echo: bool,
        include_claimed: bool, include_delayed: bool,
    ) -> tuple[list[Message], str | None]:
        """A page and the marker after it (None if the page is empty). client_id "": anonymous, nothing is hidden."""

    def delete(self, queue: QueueRef, id: str, claim_id: str | None) -> None: ...

    def delete_many(self, queue: QueueRef, ids: Sequence[str], claim_ids: Sequence[str] | None) -> None:
        """claim_ids count only with `message_delete_with_claim_id`. :raises OverLimit: number of ids"""

    def pop(self, queue: QueueRef, limit: int) -> list[Message]:
        """:raises OverLimit: not within 1..max_messages_per_claim_or_pop"""
