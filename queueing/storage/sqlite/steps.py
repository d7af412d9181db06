"""One atomic step, and how the steps of several threads share one commit.

With `synchronous=FULL` a commit waits for the disk, much longer than a step's statements take; with
`NORMAL` the lock of all writers still goes to and fro between processes. So a thread that is done while
another one waits for its turn passes the open transaction on, and waits. The one whom nobody follows
commits for all of them. Meanwhile others line up, and share the next.

Each step is undone by itself: all but the first run inside a savepoint. Nobody is answered before the
commit, not even with an error of its own, for it may be due to what another step has done. If the
commit fails, all of them have failed.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final

from queueing.core.errors import StorageUnavailable
from queueing.storage.sqlite.turns import Turns

if TYPE_CHECKING:
    from queueing.storage.sqlite.connection import Connection

logger = logging.getLogger(__name__)

MOST_STEPS: Final = 64
MOST_SECONDS: Final = 0.01
"""Other processes wait while one transaction goes from thread to thread."""


class Step:
    """`with connection.step() as db`. There is one: it is one thread's turn at a time."""

    def __init__(self, connection: Connection, turns: Turns) -> None:
        self._connection = connection
        self._turns = turns
        self._db: sqlite3.Connection
        self._group: Group | None = (
            None  # whose transaction is open, if it is more than one thread's
        )

    def __enter__(self) -> sqlite3.Connection:
        self._connection.ensure_open()
        if self._turns.take(self._connection.timeout_seconds):
            try:
                self._db.execute("SAVEPOINT step")
            except BaseException as error:
                self._end(self._group, error)
                raise
            return self._db
        self._since = time.monotonic()
        try:
            self._db = self._connection.writer()
            self._db.execute("BEGIN IMMEDIATE")
        except BaseException as error:
            unavailable = self._connection.failed(error, writing=True)
            self._turns.give()
            if unavailable:
                raise unavailable from error
            raise
        return self._db

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        group = self._group
        if group is not None:
            failure = self._close_savepoint(error)
            if failure is not None:
                self._end(group, failure)
                raise failure
        elif error is not None:
            self._end(None, error)
            return
        if self._turns.others_wait() and (group is None or group.has_room()):
            joined = group or Group(self._since)
            self._group = joined
            committed = joined.join()
            if self._turns.pass_on():
                committed.acquire()
                if joined.failure is not None:
                    raise StorageUnavailable(
                        f"the commit failed: {joined.failure}"
                    ) from joined.failure
                return
            joined.leave()
            self._group = group
        self._end(group, None)

    def commit_for_others(self) -> None:
        """Commit what was passed on to somebody who has no step of its own."""
        try:
            self._commit(self._group)
        except (StorageUnavailable, sqlite3.Error) as error:
            logger.error("the last steps failed: %s", error)

    def _close_savepoint(self, error: BaseException | None) -> BaseException | None:
        """Keep this step, or take it back because of an error. What comes back ends the transaction."""
        if error is not None and self._connection.is_of_file(error):
            return error
        try:
            if error is not None:
                self._db.execute("ROLLBACK TO step")
            self._db.execute("RELEASE step")
        except sqlite3.Error as worse:
            return worse
        return None

    def _end(self, group: Group | None, error: BaseException | None) -> None:
        """Commit, or roll back because of an error; the turn is given back in either case.

        :raises StorageUnavailable: the file or the disk failed
        """
        try:
            self._commit(group, error)
        finally:
            self._turns.give()

    def _commit(self, group: Group | None, error: BaseException | None = None) -> None:
        self._group = None
        failure = error
        try:
            if failure is None:
                try:
                    self._db.execute("COMMIT")
                    return
                except sqlite3.Error as refusal:
                    failure = refusal
            roll_back(self._db)
            unavailable = self._connection.failed(failure, writing=True)
            if group is not None:
                group.failure = failure
        finally:
            if group is not None:
                group.tell()
        if unavailable:
            raise unavailable from failure
        if failure is not error:
            raise failure


class Group:
    """Threads that wait for one commit. Only who has the turn may change it."""

    def __init__(self, since: float) -> None:
        self.failure: BaseException | None = None
        self._waiting: list[threading.Lock] = []
        self._until = since + MOST_SECONDS

    def has_room(self) -> bool:
        return len(self._waiting) < MOST_STEPS and time.monotonic() < self._until

    def join(self) -> threading.Lock:
        """What the caller can acquire once the commit was tried."""
        committed = threading.Lock()
        committed.acquire()
        self._waiting.append(committed)
        return committed

    def leave(self) -> None:
        """Undo the last `join`."""
        self._waiting.pop()

    def tell(self) -> None:
        for committed in self._waiting:
            committed.release()


def roll_back(db: sqlite3.Connection) -> None:
    # Some failures have rolled back already; where this fails too, there is nothing to undo.
    try:
        if db.in_transaction:
            db.execute("ROLLBACK")
    except sqlite3.Error as error:
        logger.warning("rolling back failed: %s", error)
