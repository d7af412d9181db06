"""The SQLite driver, open: the file, how safe it is there, sweeping.

`schema.sql` says what is kept, `places.py` where a message is at a time, `connection.py` how steps
and reads reach the file, `turns.py` how many processes share it, `announcing.py` how they tell each
other what got free.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from queueing.core.errors import SetupError, StorageUnavailable
from queueing.core.models import QueueRef
from queueing.storage.contract import Announces, Storage
from queueing.storage.sqlite import sweeping
from queueing.storage.sqlite.announcing import Announcements
from queueing.storage.sqlite.claims import SQLiteClaims
from queueing.storage.sqlite.connection import Connection, connect
from queueing.storage.sqlite.messages import SQLiteMessages
from queueing.storage.sqlite.queues import SQLiteQueues
from queueing.storage.sqlite.schema import prepare
from queueing.storage.sqlite.turns import Turns
from queueing.storage.sqlite.uri import Location, read

OLDEST = (3, 38, 0)
"""The first version that always has JSON functions; RETURNING came before."""

PROMISES = {
    "full": "What is acknowledged is on the disk, and survives a crash of the machine.",
    "normal": "What is acknowledged survives the crash of any process; "
    "a crash of the machine may lose the last moments.",
}


class SQLiteStorage(Storage, Announces):
    """One open file."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._announcements = Announcements(connection.path)
        self.queues = SQLiteQueues(connection)
        self.messages = SQLiteMessages(connection, self._announcements)
        self.claims = SQLiteClaims(connection, self._announcements)

    def time(self) -> float:
        return time.time()  # every process that has the file is on this machine

    def ping(self) -> None:
        self._connection.check_file()
        with self._connection.read(brief=True) as db:
            db.execute("SELECT 1 FROM store").fetchone()

    def durability(self) -> Mapping[str, str | int | bool]:
        with self._connection.read(brief=True) as db:
            (journal_mode,) = db.execute("PRAGMA journal_mode").fetchone()
        return {
            "engine": f"SQLite {sqlite3.sqlite_version}",
            "promise": PROMISES[self._connection.synchronous],
            "synchronous": self._connection.synchronous,
            "journal_mode": journal_mode,
        }

    def collect(self, *, now: float, limit: int) -> int:
        return sweeping.collect(self._connection, now=now, limit=limit)

    def piles(self, *, limit: int) -> list[QueueRef]:
        return sweeping.piles(self._connection, limit=limit)

    def listen(self, hear: Callable[[QueueRef, int], None]) -> None:
        self._announcements.listen(hear)

    def follow(self, queue: QueueRef) -> bool:
        return self._announcements.follow(queue)

    def unfollow(self, queue: QueueRef) -> None:
        self._announcements.unfollow(queue)

    def close(self) -> None:
        self._announcements.close()
        self._connection.close()


def open(uri: str, *, timeout_seconds: float) -> SQLiteStorage:
    """Open the file that the URI names; make it, readable by its owner only, if it is missing.

    :raises SetupError: one line: the URI, the file or its version is not right
    :raises StorageUnavailable: others keep the file locked
    """
    if sqlite3.sqlite_version_info < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise SetupError(
            f"storage sqlite: needs SQLite {oldest} or later, this is {sqlite3.sqlite_version}"
        )
    location = read(uri)
    turns = _lock_files(location.path)
    try:
        _prepare(location.path, turns, timeout_seconds)
    except BaseException:
        turns.close()
        raise
    return SQLiteStorage(_connection(location, turns, timeout_seconds))


def _connection(location: Location, turns: Turns, timeout_seconds: float) -> Connection:
    return Connection(
        location.path,
        turns,
        synchronous=location.synchronous,
        timeout_seconds=timeout_seconds,
    )


def _lock_files(path: Path) -> Turns:
    if not path.parent.is_dir():
        raise SetupError(f"storage: {path}: there is no directory {path.parent}")
    try:
        # Made here, so that nobody else can read it; the files beside it get the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return Turns(path)
    except OSError as error:
        raise SetupError(f"storage: {error.filename or path}: {error.strerror}") from error


def _prepare(path: Path, turns: Turns, timeout_seconds: float) -> None:
    turns.take(timeout_seconds)
    try:
        db = connect(path, timeout_seconds)
        try:
            prepare(db, str(path))
        finally:
            db.close()
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise StorageUnavailable(f"{path} is locked by another program") from error
        raise SetupError(f"storage: {path} cannot be used: {error}") from error
    finally:
        turns.give()
