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
        self._listed: set[QueueRef] = set()
        self._read = 0  # so much of the file is known
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
            file.seek(self._read)
            self._listed.update(QueueRef(*json.loads(line)) for line in iter(file.readline, ""))
            if queue not in self._listed and len(self._listed) < self._most:
                file.write(json.dumps(queue) + "\n")
                self._listed.add(queue)
            file.flush()
            self._read = file.tell()
            self._known.update((known, known) for known in self._listed)
            self._full = len(self._listed) >= self._most
        return self._known.get(queue, OTHERS)
