"""Which queues have numbers of their own: the first ones that this node hears of, up to a limit.

Whoever may post may make up queues, and each name would be a time series for ever. So the list is short,
and the same for all processes of the node; the rest goes under one name that no queue has.
"""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from queueing.core.models import QueueRef
from queueing.metrics.families import OTHER

OTHERS: Final = QueueRef("", OTHER)
"""A project is never empty, and no queue's name has parentheses."""


class KnownQueues:
    """Threads and processes share it."""

    def __init__(self, directory: Path, most: int, always: Iterable[QueueRef] = ()) -> None:
        self._path = directory / "queues"
        self._most = most
        self._known: dict[QueueRef, QueueRef] = {queue: queue for queue in always}
        self._first = frozenset(self._known)
        self._full = most == 0
        self._lock = threading.Lock()

    def label(self, queue: QueueRef) -> QueueRef:
        """The queue, or `OTHERS`."""
        known = self._known.get(queue)
        if known is None:
            known = OTHERS if self._full else self._learn(queue)
        return known

    def _learn(self, queue: QueueRef) -> QueueRef:
        with self._lock, self._path.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            listed = [QueueRef(*json.loads(line)) for line in file]
            if queue not in listed and len(listed) < self._most:
                file.write(json.dumps(queue) + "\n")
                listed.append(queue)
            self._known.update((known, known) for known in listed)
            self._full = len(listed) >= self._most
        return self._known.get(queue, OTHERS)
