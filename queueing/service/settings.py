"""What this process knows of queues' settings, so that a post or a claim need not read them first.

It may be out of date at any time: the version goes into the step, and the store refuses the step
if the queue has other settings by then. So what is remembered only saves time; it decides nothing.
"""

from __future__ import annotations

import threading
from typing import Final

from queueing.core import reserved, rules
from queueing.core.errors import StorageUnavailable
from queueing.core.limits import Limits
from queueing.core.models import NO_METADATA, Metadata, QueueRef
from queueing.core.reserved import QueueSettings
from queueing.service import metadata
from queueing.storage.contract import Storage

CAPACITY: Final = 10_000
"""How many queues' settings a process keeps."""

ATTEMPTS: Final = 10
"""How often a step is made again because settings changed under it."""


class KnownSettings:
    """Settings of up to `capacity` queues, those used last.

    Queues without settings of their own take no room: they are what is assumed of an unknown one.
    Two generations: what is used moves to the young one; when that is full, the old one, which has
    not been used for as long, is dropped. Reading takes no lock.
    """

    def __init__(self, storage: Storage, limits: Limits, capacity: int = CAPACITY) -> None:
        self._queues = storage.queues
        self._limits = limits
        self._generation = max(1, capacity // 2)
        self._young: dict[QueueRef, QueueSettings] = {}
        self._old: dict[QueueRef, QueueSettings] = {}
        self._lock = threading.Lock()
        self.defaults = self._read(NO_METADATA)

    def of(self, queue: QueueRef) -> QueueSettings:
        """The queue's settings as far as is known; the defaults if nothing is."""
        known = self._young.get(queue)
        if known is not None:
            return known
        known = self._old.get(queue)
        if known is None:
            return self.defaults
        self._keep(queue, known)
        return known

    def fresh(self, queue: QueueRef) -> QueueSettings:
        """The queue's settings, read from the store now; the defaults of a missing queue."""
        return self.learn(queue, self._queues.fetch(queue) or NO_METADATA)

    def learn(self, queue: QueueRef, current: Metadata) -> QueueSettings:
        """Keep what the store says they are."""
        if current.version == NO_METADATA.version:
            with self._lock:
                self._young.pop(queue, None)
                self._old.pop(queue, None)
            return self.defaults
        known = self._read(current)
        self._keep(queue, known)
        return known

    def refuse_size(self, queue: QueueRef, size: int) -> QueueSettings:
        """The queue's settings, read afresh, unless a post's body of this size is too long by them.

        :raises OverLimit: titled API
        """
        known = self.fresh(queue)
        rules.post_size(size, known.max_post_size)
        return known

    def _keep(self, queue: QueueRef, known: QueueSettings) -> None:
        with self._lock:
            if queue not in self._young and len(self._young) >= self._generation:
                self._old, self._young = self._young, {}
            self._young[queue] = known
            self._old.pop(queue, None)

    def _read(self, current: Metadata) -> QueueSettings:
        values = metadata.reserved_values(metadata.parse(current.document))
        return reserved.settings(current.version, values, self._limits)


def keep_changing(queue: QueueRef) -> StorageUnavailable:
    """What a request ends with when a queue's settings changed at each of its `ATTEMPTS`."""
    return StorageUnavailable(
        f"The settings of queue {queue.name!r} changed {ATTEMPTS} times during this request."
    )
