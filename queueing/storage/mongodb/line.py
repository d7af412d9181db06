"""The line in a queue's document: claims and pops of several processes that met, one after the other."""

from __future__ import annotations

import time
from typing import Final

from queueing.storage.mongodb.connection import Connection
from queueing.storage.mongodb.keys import Document, QueueKey
from queueing.storage.mongodb.ledger import Ledgers

PAUSE_SECONDS: Final = 0.002
"""Between two looks of the second in line; longer for those farther back."""

PATIENCE_SECONDS: Final = 0.5
"""How long the first in line may do nothing; so much more where reading takes the next one long."""

PATIENCE_READS: Final = 20


class Line:
    def __init__(self, connection: Connection, ledgers: Ledgers) -> None:
        self._connection = connection
        self._ledgers = ledgers

    def line_up(self, key: QueueKey, name: str) -> None:
        """Wait until this one is the first in line: whoever else would take the same waits, too.

        One that does nothing is put out of the line, as it may be dead. If it is not, no harm is done:
        the line is there so that each comes to its turn; what keeps them apart are the guards.
        """
        joined = self._ledgers.update(key.itself(line={"$ne": name}), {"$push": {"line": name}})
        line = joined.line if joined else self._read(key)
        began = time.monotonic()
        slowest = 0.0
        while name in line and line[0] != name:
            time.sleep(PAUSE_SECONDS * min(line.index(name), 10))
            asked = time.monotonic()
            first, line = line[0], self._read(key)
            now = time.monotonic()
            slowest = max(slowest, now - asked)
            if not line or line[0] != first:
                began = now
            elif now - began > PATIENCE_SECONDS + min(
                PATIENCE_READS * slowest, 2 * PATIENCE_SECONDS
            ):
                self.step_out(key, first)

    def step_out(self, key: QueueKey, name: str) -> None:
        self._connection.update(*leaving(key, name))

    def _read(self, key: QueueKey) -> tuple[str, ...]:
        found = self._connection.one(key.itself(), {"line": 1})
        return tuple(found["line"]) if found else ()


def leaving(key: QueueKey, name: str) -> tuple[Document, Document]:
    """The update by which one steps out of the line."""
    return key.itself(), {"$pull": {"line": name}}
