"""Connections to one database file: one that writes, a few that read, none shared with a fork.

A step is a transaction of the writing connection; `turns.py` says whose turn it is. With the
write-ahead log readers see the last commit, and neither wait for a writer nor keep one waiting.

Whatever SQLite says about the file, the disk or a lock is `StorageUnavailable`; what it says about
our statements is a bug, and stays what it is.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Literal
from urllib.parse import quote
from weakref import WeakSet

from queueing.core.errors import StorageUnavailable
from queueing.storage.sqlite.steps import Step, roll_back
from queueing.storage.sqlite.turns import Turns

logger = logging.getLogger(__name__)

Synchronous = Literal["full", "normal"]

CHECKPOINT_PAGES: Final = 4000
"""How long the write-ahead log gets: 16 MB; as many pages as one table of its index holds."""

LOG_BYTES: Final = 64 << 20
"""What is left of the log's file when it has been longer than that."""

WRITER_CACHE: Final = 8192
READER_CACHE: Final = 2048
"""Most that a connection keeps of the file, whatever its size; KiB."""

IDLE_READERS: Final = 16
"""Reading connections kept open while nobody reads."""

LOG_SECONDS: Final = 10
"""One kind of failure is logged this often, at most."""

PASSING: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL}
"""What goes away by itself, or by other people's doing; the connection is as good as before."""

BROKEN: Final = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOLFS,
    sqlite3.SQLITE_NOTADB,
}
"""After these the connection is opened anew."""


class Connection:
    """All connections of this process to the file. Threads share it."""

    def __init__(
        self, path: Path, turns: Turns, *, synchronous: Synchronous, timeout_seconds: float
    ) -> None:
        self.path = path
        self.synchronous = synchronous
        self.timeout_seconds = timeout_seconds
        self._file = _identity(path)
        self._turns = turns
        self._writer: sqlite3.Connection | None = None
        self._readers: list[sqlite3.Connection] = []
        self._step = self._new_step()
        self._closed = False
        self._logged: dict[int, float] = {}  # code of SQLite: when, monotonic
        _open_connections.add(self)

    def step(self) -> Step:
        """One atomic step: a transaction that can write. It is rolled back if an error leaves it.

        :raises StorageUnavailable: there was no turn, or the file or the disk failed
        """
        return self._step

    def read(self, *, brief: bool = False, whole: bool = False) -> Reading:
        """Read. `brief`: it never takes long. `whole`: all statements see the same commit."""
        return Reading(self, self._turns, brief, whole)

    def writer(self) -> sqlite3.Connection:
        """The connection that writes. For those whose turn it is."""
        if self._writer is None:
            self._writer = self._open(read_only=False)
        return self._writer

    def take_reader(self) -> sqlite3.Connection:
        try:
            return self._readers.pop()
        except IndexError:
            return self._open(read_only=True)

    def give_reader(self, reader: sqlite3.Connection, error: BaseException | None) -> None:
        """Take it back, after an error perhaps: what SQLite complained about is not used again."""
        full = len(self._readers) >= IDLE_READERS
        if self._closed or full or isinstance(error, sqlite3.Error):
            reader.close()
        else:
            self._readers.append(reader)

    def check_file(self) -> None:
        """:raises StorageUnavailable: the file that is open is not the one with its name any more"""
        if _identity(self.path) != self._file:
            raise StorageUnavailable(f"{self.path} was removed or replaced")

    def failed(self, error: BaseException | None, *, writing: bool) -> StorageUnavailable | None:
        """What the error means to a request; None if it is no matter of the file, disk or a lock."""
        if not isinstance(error, sqlite3.Error):
            return None
        code = getattr(error, "sqlite_errorcode", -1)
        primary = code & 0xFF
        if primary not in PASSING and primary not in BROKEN:
            return None
        if writing and primary in BROKEN and self._writer is not None:
            self._writer.close()
            self._writer = None
        now = time.monotonic()
        if now - self._logged.get(code, -LOG_SECONDS) >= LOG_SECONDS:
            self._logged[code] = now
            logger.error("%s: %s (%s)", self.path, error, error.sqlite_errorname)
        return StorageUnavailable(f"the database file does not serve: {error}")

    def is_of_file(self, error: BaseException) -> bool:
        """Whether the error says something about the file, the disk or a lock."""
        return getattr(error, "sqlite_errorcode", -1) & 0xFF in PASSING | BROKEN

    def close(self) -> None:
        """Close what is open; steps and reads after this fail."""
        if self._closed:
            return
        self._closed = True
        _open_connections.discard(self)
        while self._readers:
            self._readers.pop().close()
        # The last one to close copies the log into the database: that needs a turn, if there is one.
        try:
            passed_on = self._turns.take(self.timeout_seconds)
        except StorageUnavailable:
            self._close_writer()
        else:
            if passed_on:
                self._step.commit_for_others()
            self._close_writer()
            self._turns.give()
        self._turns.close()

    def abandon(self) -> None:
        """In a process that was forked off: never touch what the parent has open, not to close it."""
        _abandoned.extend(self._readers)
        if self._writer is not None:
            _abandoned.append(self._writer)
        self._readers, self._writer = [], None
        self._turns.restart()
        self._step = self._new_step()

    def _new_step(self) -> Step:
        return Step(self, self._turns)

    def ensure_open(self) -> None:
        if self._closed:
            raise StorageUnavailable("the store is closed")

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self, *, read_only: bool) -> sqlite3.Connection:
        self.ensure_open()
        self.check_file()
        db = connect(self.path, self.timeout_seconds)
        db.execute(f"PRAGMA synchronous = {self.synchronous}")
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute(
            "PRAGMA secure_delete = FAST"
        )  # deleted bodies are overwritten where that is free
        if read_only:
            db.execute(f"PRAGMA cache_size = -{READER_CACHE}")
            db.execute("PRAGMA query_only = ON")
        else:
            db.execute(f"PRAGMA cache_size = -{WRITER_CACHE}")
            db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            db.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        return db


class Reading:
    """`with connection.read() as db`. What is brief reads on the writing connection if nobody writes,
    since that one knows the file: a reading one forgets all it knows whenever somebody wrote.
    """

    __slots__ = ("_borrowed", "_brief", "_connection", "_db", "_turns", "_whole")

    def __init__(self, connection: Connection, turns: Turns, brief: bool, whole: bool) -> None:
        self._connection = connection
        self._turns = turns
        self._brief = brief
        self._whole = whole

    def __enter__(self) -> sqlite3.Connection:
        connection = self._connection
        connection.ensure_open()
        self._borrowed = self._brief and self._turns.pause()
        try:
            self._db = connection.writer() if self._borrowed else connection.take_reader()
            if self._whole:
                self._db.execute("BEGIN")
        except BaseException as error:
            self._settle(error)
            raise
        return self._db

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._whole:
            roll_back(self._db)  # nothing was written, and this cannot fail
        if not self._borrowed:
            self._connection.give_reader(self._db, error)
        self._settle(error)

    def _settle(self, error: BaseException | None) -> None:
        unavailable = self._connection.failed(error, writing=self._borrowed)
        if self._borrowed:
            self._turns.resume()
        if unavailable:
            raise unavailable from error


def connect(path: Path, timeout_seconds: float) -> sqlite3.Connection:
    """A plain connection to a file that is there: one that vanished is not made anew, empty."""
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=timeout_seconds,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


# A connection must not be used, and not even be closed, in a process that was forked off: closing
# would let go of locks that the parent relies on. So the child keeps them, unused, for ever.
_open_connections: WeakSet[Connection] = WeakSet()
_abandoned: list[sqlite3.Connection] = []


def _after_fork() -> None:
    for connection in list(_open_connections):
        connection.abandon()


os.register_at_fork(after_in_child=_after_fork)
