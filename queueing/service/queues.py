"""Queues and their metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from queueing.core.clock import Clock
from queueing.core.limits import Limits
from queueing.core.models import QueueRef, Stats
from queueing.storage.contract import Storage

RawJson = bytes  # or msgspec.Raw: a JSON text


class Change(NamedTuple):
    """One operation of a metadata patch: `op` is add, replace or remove; `value` a JSON text."""

    op: str
    key: str
    value: RawJson | None


class ListedQueue(NamedTuple):
    name: str
    metadata: Mapping[str, RawJson]  # as shown: stored values, defaults filled in; values are JSON texts


class Queues:
    def __init__(self, storage: Storage, clock: Clock, limits: Limits) -> None: ...

    def create(self, queue: QueueRef, metadata: Mapping[str, RawJson]) -> bool:
        """Make the queue if it is missing; True if it was made. Metadata is checked either way.

        :raises InvalidRequest: titled API; a reserved key has a wrong value, or all is over max_queue_metadata
        """

    def exists(self, queue: QueueRef) -> bool: ...

    def show(self, queue: QueueRef) -> Mapping[str, RawJson]:
        """The metadata as shown (spec 6.1): stored values, the seven defaults; of a missing queue only those."""

    def update(self, queue: QueueRef, changes: Sequence[Change]) -> Mapping[str, RawJson]:
        """Apply the changes in order, all or none; the metadata as shown afterwards.

        :raises QueueNotFound: :raises AbsentKey: :raises InvalidRequest: titled BODY
        """

    def delete(self, queue: QueueRef) -> None: ...

    def list(
        self, project: str, *, marker: str, limit: int | None, name: str | None,
        filters: Mapping[str, Sequence[str]],
    ) -> list[ListedQueue]:
        """A page (limit None: the default of 10), filtered before the limit counts (spec 6.6).

        :raises OverLimit: `limit` is not within 1..max_queues_per_page
        """

    def count(self, project: str) -> int: ...

    def stats(self, queue: QueueRef) -> Stats: ...

    def purge(self, queue: QueueRef, resource_types: Sequence[str] | None) -> None:
        """:raises InvalidRequest: titled API; an unknown type. None: all types. Subscriptions: none exist yet."""
