"""Whose turn it is to write: one thread of one process at a time, and everybody gets there.

SQLite's own waiting is a lottery that whoever wrote last wins most often: with eight processes that
post as fast as they can, one made 802 posts while another made 1. So those who want to write line
up first. Threads of a process wait for each other in the order in which they came. Processes use
two lock files beside the database, as in a shop: who holds the *desk* writes; who holds the *door*
waits for the desk and is next. Whoever leaves the desk finds another one at the door before it can
be back. The kernel gives both locks back when a process dies, however it dies.

The desk is held until the commit has returned, so no two connections of ours ever write, or copy
the write-ahead log back into the database, at the same moment.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import deque
from enum import Enum, auto
from pathlib import Path
from typing import Final

from queueing.core.errors import StorageUnavailable

SHORTEST_NAP: Final = 50e-6
LONGEST_NAP: Final = 1e-3


class Turns:
    """The turns of one process at one database file.

    :raises OSError: the lock files cannot be made
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._line = Line()
        self._locks = Locks(database)

    def take(self, timeout_seconds: float) -> bool:
        """Wait for the turn; it is the caller's until `give`. True if a thread passed its own on.

        :raises StorageUnavailable: it did not come in time
        """
        deadline = time.monotonic() + timeout_seconds
        if not self._line.acquire(timeout_seconds):
            raise _too_late(timeout_seconds)
        if self._line.passed_on:
            self._line.passed_on = False
            return True
        try:
            if not self._locks.acquire(deadline):
                raise _too_late(timeout_seconds)
        except BaseException:
            self._line.release()
            raise
        return False

    def others_wait(self) -> bool:
        """Whether threads of this process wait for their turn."""
        return self._line.has_waiters()

    def pass_on(self) -> bool:
        """Give the turn to the next thread of this process, the desk with it; False if none waits."""
        return self._line.pass_on()

    def give(self) -> None:
        self._locks.release()
        self._line.release()

    def pause(self) -> bool:
        """Keep threads of this process from taking a turn, until `resume`; False if one is at it."""
        return self._line.acquire_now()

    def resume(self) -> None:
        self._line.release()

    def restart(self) -> None:
        """In a process that was forked off: leave the parent's turns alone, begin with own ones."""
        self._locks.close_files()  # our copies only; the parent's stay locked as they are
        self._line = Line()
        self._locks = Locks(self._database)

    def close(self) -> None:
        self._locks.close()


class Line:
    """A lock that threads get in the order in which they asked for it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()
        self.passed_on = False
        """Whether the lock was passed on to who has it now. For that one only."""

    def acquire_now(self) -> bool:
        with self._mutex:
            if self._taken:
                return False
            self._taken = True
            return True

    def acquire(self, timeout_seconds: float) -> bool:
        with self._mutex:
            if not self._taken:
                self._taken = True
                return True
            called = threading.Lock()
            called.acquire()
            self._waiting.append(called)
        if called.acquire(timeout=timeout_seconds):
            return True
        with self._mutex:
            if called not in self._waiting:
                return True  # called between the time-out and now
            self._waiting.remove(called)
            return False

    def has_waiters(self) -> bool:
        return bool(self._waiting)

    def pass_on(self) -> bool:
        with self._mutex:
            if not self._waiting:
                return False
            self.passed_on = True
            self._waiting.popleft().release()
            return True

    def release(self) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


class Asking(Enum):
    """What the thread that waits in the kernel is doing, and for whom."""

    NOTHING = auto()
    WAITS = auto()
    WAITS_FOR_NOBODY = auto()  # who asked has given up; the next to ask takes over this place
    HAS_IT = auto()


class Locks:
    """Door and desk. One thread at a time may call; `Line` sees to that.

    The kernel's queue is fair, but waiting in it cannot be ended by a time-out. So a thread of our
    own waits there; it is needed, and started, when the door is found shut for the first time.
    """

    def __init__(self, database: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._door = os.open(f"{database}-door", flags, 0o600)
        self._desk = os.open(f"{database}-desk", flags, 0o600)
        self._asking = Asking.NOTHING
        self._changed = threading.Condition()
        self._waiter: threading.Thread | None = None
        self._closed = False

    def acquire(self, deadline: float) -> bool:
        # While the waiter is at the door, its lock would count as ours: the file is the same.
        if self._asking is Asking.NOTHING and _lock(self._door):
            try:
                return self._next(deadline)
            finally:
                _unlock(self._door)
        return self._ask(deadline)

    def release(self) -> None:
        _unlock(self._desk)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            if self._asking is Asking.NOTHING:  # else the waiter is using them, and closes them
                self.close_files()

    def close_files(self) -> None:
        os.close(self._door)
        os.close(self._desk)

    def _next(self, deadline: float) -> bool:
        """Wait for the desk, at the door: nobody else waits for it, so napping loses no place."""
        if _lock(self._desk):
            return True
        nap = SHORTEST_NAP
        while time.monotonic() < deadline:
            time.sleep(nap)
            if _lock(self._desk):
                return True
            nap = min(2 * nap, LONGEST_NAP)
        return False

    def _ask(self, deadline: float) -> bool:
        with self._changed:
            if self._waiter is None:
                self._waiter = threading.Thread(target=self._wait, name="turns", daemon=True)
                self._waiter.start()
            self._asking = Asking.WAITS
            self._changed.notify_all()
            patience = max(0.0, deadline - time.monotonic())
            if self._changed.wait_for(lambda: self._asking is Asking.HAS_IT, patience):
                self._asking = Asking.NOTHING
                return True
            self._asking = Asking.WAITS_FOR_NOBODY
            return False

    def _wait(self) -> None:
        changed = self._changed
        while True:
            with changed:
                changed.wait_for(lambda: self._asking is Asking.WAITS or self._closed)
                if self._closed:
                    return
            fcntl.flock(self._door, fcntl.LOCK_EX)
            fcntl.flock(self._desk, fcntl.LOCK_EX)
            _unlock(self._door)
            with changed:
                if self._asking is Asking.WAITS:
                    self._asking = Asking.HAS_IT
                    changed.notify_all()
                else:
                    _unlock(self._desk)
                    self._asking = Asking.NOTHING
                if self._closed:
                    self.close_files()
                    return


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(file: int) -> None:
    fcntl.flock(file, fcntl.LOCK_UN)


def _too_late(timeout_seconds: float) -> StorageUnavailable:
    return StorageUnavailable(f"the database is busy: no turn to write in {timeout_seconds:g} s")
