"""Queues and their metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from queueing.core import rules
from queueing.core.clock import Clock
from queueing.core.errors import API, BODY, MetadataChanged, QueueNotFound, StorageUnavailable
from queueing.core.limits import Limits
from queueing.core.models import EMPTY_METADATA, Metadata, QueueRef, Stats, request_token
from queueing.service import metadata as documents
from queueing.service.dead_letters import DeadLetters
from queueing.service.metadata import Change, Document, RawJson
from queueing.service.waiting import WaitingRoom
from queueing.storage.contract import Storage

__all__ = ["Change", "ListedQueue", "Queues", "RawJson"]

PATCH_ATTEMPTS: Final = 20
"""How often a patch is applied again because somebody else changed the metadata meanwhile."""

FILTER_PAGE: Final = 100
"""How many queues a filtered listing looks at per step of the store."""


class ListedQueue(NamedTuple):
    name: str
    metadata: Mapping[str, RawJson]
    """As shown: stored values, defaults filled in; values are JSON texts."""


class Queues:
    """What clients ask for about queues. Threads share it."""

    def __init__(
        self, storage: Storage, clock: Clock, limits: Limits, room: WaitingRoom | None = None
    ) -> None:
        self._store = storage.queues
        self._messages = storage.messages
        self._clock = clock
        self._limits = limits
        self._dead_letters = DeadLetters(storage, clock, room.announce if room else None)
        self._defaults = documents.defaults(limits)

    def create(self, queue: QueueRef, metadata: Mapping[str, RawJson]) -> bool:
        """Make the queue if it is missing; True if it was made. Metadata is checked either way.

        :raises InvalidRequest: titled API; a reserved key has a wrong value, or all is over
            max_queue_metadata
        """
        stored = self._checked(queue, documents.document(metadata), API)
        return self._store.create(queue, stored, token=request_token(), now=self._clock.now())

    def exists(self, queue: QueueRef) -> bool:
        return self._store.fetch(queue) is not None

    def show(self, queue: QueueRef) -> Mapping[str, RawJson]:
        """The metadata as shown (spec 6.1): stored values, the seven defaults; of a missing queue
        only those."""
        stored = self._store.fetch(queue)
        return self._defaults if stored is None else self._shown(stored)

    def update(self, queue: QueueRef, changes: Sequence[Change]) -> Mapping[str, RawJson]:
        """Apply the changes in order, all or none; the metadata as shown afterwards.

        :raises QueueNotFound: there is no such queue
        :raises AbsentKey: a change replaces or removes a key that is not there
        :raises InvalidRequest: titled BODY; the result breaks a rule (API: encryption without a key)
        """
        for _ in range(PATCH_ATTEMPTS):
            stored = self._store.fetch(queue)
            if stored is None:
                raise QueueNotFound(f"There is no queue {queue.name!r}.")
            result = documents.changed(documents.parse(stored.document), changes)
            document = self._checked(queue, result, BODY)
            if document != stored.document:
                try:
                    self._store.replace(
                        queue,
                        document,
                        expected=stored.version,
                        token=request_token(),
                        now=self._clock.now(),
                    )
                except MetadataChanged:
                    continue
            return documents.shown(result, self._defaults)
        raise StorageUnavailable(
            f"The metadata of queue {queue.name!r} changed {PATCH_ATTEMPTS} times during this request."
        )

    def delete(self, queue: QueueRef) -> None:
        """Remove the queue with all that is in it; no matter if it is missing.

        What lies on its dead pile has left it already, and goes on its way.
        """
        self._store.delete(queue, now=self._clock.now())
        self._dead_letters.forward_all(queue)

    def list(
        self,
        project: str,
        *,
        marker: str,
        limit: int | None,
        name: str | None,
        filters: Mapping[str, Sequence[str]],
    ) -> list[ListedQueue]:
        """A page of queues with names greater than `marker`, filtered before the limit counts.

        `name`: only queues whose name contains it. `filters`: only queues whose stored metadata
        has each key with one of its values (spec 6.6).

        :raises OverLimit: titled API; `limit` is not within 1..max_queues_per_page
        """
        limit = rules.page_limit(limit, self._limits.max_queues_per_page)
        if not name and not filters:
            entries = self._store.page(project, after=marker, limit=limit)
            return [ListedQueue(entry.name, self._shown(entry.metadata)) for entry in entries]
        found: list[ListedQueue] = []
        while True:
            entries = self._store.page(project, after=marker, limit=FILTER_PAGE)
            for entry in entries:
                if name and name not in entry.name:
                    continue
                document = documents.parse(entry.metadata.document)
                if documents.matches(document, filters):
                    shown = documents.shown(document, self._defaults)
                    found.append(ListedQueue(entry.name, shown))
                    if len(found) == limit:
                        return found
            if len(entries) < FILTER_PAGE:
                return found
            marker = entries[-1].name

    def count(self, project: str) -> int:
        return self._store.count(project)

    def stats(self, queue: QueueRef) -> Stats:
        return self._messages.stats(queue, now=self._clock.now())

    def purge(self, queue: QueueRef, resource_types: Sequence[str] | None) -> None:
        """Empty the queue of its messages, if they are among the types; None: all types.

        :raises InvalidRequest: titled API; an unknown type
        """
        if "messages" in rules.resource_types(resource_types):
            self._messages.purge(queue, now=self._clock.now())

    def _checked(self, queue: QueueRef, document: Document, title: str) -> bytes:
        """The document as it is stored, if the queue may have it."""
        documents.check(document, queue.name, self._limits, title)
        stored = documents.text(document)
        rules.metadata_size(len(stored), self._limits, title)
        return stored

    def _shown(self, stored: Metadata) -> Document:
        if stored.document == EMPTY_METADATA:
            return self._defaults
        return documents.shown(documents.parse(stored.document), self._defaults)
