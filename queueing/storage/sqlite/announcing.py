"""Telling the other processes that have the file what got free there: through named pipes beside it.

A process that follows queues reads a pipe of its own in the directory `<database>-listeners`. Who has
committed a step that made messages free looks into that directory (one `stat` while it is as it was)
and writes a line into each pipe there: so nobody polls, and without listeners a post costs only that
look. The pipe exists before `follow` returns, and is looked for after the commit: so no step that
begins after `follow` is missed, but for a pipe that is full, which its reader notices, and for a
process that dies between its commit and its line.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Final
from weakref import WeakSet

from queueing.core.models import Draft, QueueRef
from queueing.storage.contract import UNKNOWN

logger = logging.getLogger(__name__)

Hear = Callable[[QueueRef, int], None]

LONGEST_PIECE: Final = 4096
"""What is no longer is written in one piece or not at all."""

USUAL_CAPACITY: Final = 65_536
"""Bytes that a pipe holds, where the system does not tell."""

SETTLED_NANOSECONDS: Final = 100_000_000
"""Two changes of a directory may carry the same time if they are closer than the kernel's ticks."""


class Announcements:
    """Both directions, for one open store. Threads share it."""

    def __init__(self, database: Path) -> None:
        directory = Path(f"{database}-listeners")
        self._ear = Ear(directory)
        self._mouth = Mouth(directory, self._ear)
        _open_ones.add(self)

    def listen(self, hear: Hear) -> None:
        self._ear.hear = hear

    def follow(self, queue: QueueRef) -> bool:
        return self._ear.follow(queue)

    def unfollow(self, queue: QueueRef) -> None:
        self._ear.unfollow(queue)

    def tell(self, queue: QueueRef, *counts: int) -> None:
        """After the commit: a step made so many messages free (see `Announces.listen`)."""
        self._mouth.tell(queue, counts)

    def tell_posted(self, queue: QueueRef, drafts: Sequence[Draft]) -> None:
        delayed = sum(1 for draft in drafts if draft.delay)
        free = len(drafts) - delayed
        if free:
            self._mouth.tell(queue, (free, 0) if delayed else (free,))
        else:
            self._mouth.tell(queue, (0,))

    def close(self) -> None:
        self._ear.close()
        self._mouth.close()

    def abandon(self) -> None:
        """In a process that was forked off: the pipes are the parent's."""
        self._ear.abandon()
        self._mouth.abandon()


class Ear:
    """Reads this process's pipe, while it follows anything."""

    def __init__(self, directory: Path) -> None:
        self.hear: Hear | None = None
        self.name = ""  # of the pipe that is open now
        self._directory = directory
        self._lock = threading.Lock()
        self._followed: set[QueueRef] = set()
        self._pipe: int | None = None
        self._complained = False

    def follow(self, queue: QueueRef) -> bool:
        with self._lock:
            if self._pipe is None:
                try:
                    self._open()
                except OSError as error:
                    if not self._complained:
                        logger.warning("%s: no pipe can be made: %s", self._directory, error)
                    self._complained = True
                    return False
            self._followed.add(queue)
            return True

    def unfollow(self, queue: QueueRef) -> None:
        with self._lock:
            self._followed.discard(queue)
            if not self._followed:
                self._close()

    def close(self) -> None:
        with self._lock:
            self._followed.clear()
            self._close()

    def abandon(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)  # our copy: it would look as if somebody read here
        self._pipe = None
        self._followed = set()
        self._lock = threading.Lock()

    def _open(self) -> None:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self.name = token_hex(8)
        unfinished = self._directory / f".{self.name}"
        os.mkfifo(unfinished, 0o600)
        # For both directions: an end that writes keeps it from ending when the others close theirs.
        pipe = os.open(unfinished, os.O_RDWR | os.O_CLOEXEC)
        # Only now it can be found: one that nobody reads is taken for that of a dead process.
        unfinished.rename(self._directory / self.name)
        self._pipe = pipe
        threading.Thread(target=self._read, args=(pipe,), name="announcements", daemon=True).start()

    def _close(self) -> None:
        if self._pipe is None:
            return
        (self._directory / self.name).unlink(missing_ok=True)
        pipe, self._pipe = self._pipe, None
        os.set_blocking(pipe, False)
        try:
            os.write(pipe, b"\n")  # an empty line: the reader has to end, and closes it
        except BlockingIOError:
            pass  # it is full: the reader comes round, and sees that it is not blocking any more

    def _read(self, pipe: int) -> None:
        size = _capacity(pipe)
        rest = b""
        while True:
            try:
                text = os.read(pipe, size)
            except BlockingIOError:
                break
            *lines, rest = (rest + text).split(b"\n")
            if b"" in lines:
                break
            for line in lines:
                project, name, count = json.loads(line)
                self._tell(QueueRef(project, name), count)
            if len(text) > max(size - LONGEST_PIECE, size // 2):  # something may not have fitted in
                for queue in list(self._followed):
                    self._tell(queue, UNKNOWN)
        os.close(pipe)

    def _tell(self, queue: QueueRef, count: int) -> None:
        if queue in self._followed and self.hear is not None:
            self.hear(queue, count)


class Mouth:
    """Writes into the pipes of the others."""

    def __init__(self, directory: Path, own: Ear) -> None:
        self._own = own
        self._directory = directory
        self._lock = threading.Lock()
        self._pipes: dict[str, int] = {}  # what can be written to, by name
        self._changed_at = -1  # when the directory changed last, as far as is known; ns
        self._settled = False

    def tell(self, queue: QueueRef, counts: tuple[int, ...]) -> None:
        try:
            self._tell(queue, counts)
        except FileNotFoundError:
            pass  # nobody has ever listened
        except OSError as error:  # what was committed is done all the same
            logger.warning("%s: others could not be told: %s", self._directory, error)

    def _tell(self, queue: QueueRef, counts: tuple[int, ...]) -> None:
        changed_at = os.stat(self._directory).st_mtime_ns
        if self._settled and changed_at == self._changed_at and not self._pipes:
            return
        lines = b"".join(json.dumps([*queue, count]).encode("ascii") + b"\n" for count in counts)
        with self._lock:
            if not self._settled or changed_at != self._changed_at:
                self._look(changed_at)
            for name, pipe in list(self._pipes.items()):
                self._write(name, pipe, lines)

    def abandon(self) -> None:
        self._lock = threading.Lock()
        self.close()

    def close(self) -> None:
        with self._lock:
            while self._pipes:
                os.close(self._pipes.popitem()[1])
            self._changed_at, self._settled = -1, False

    def _look(self, changed_at: int) -> None:
        """Open the pipes that are new, close those that are gone."""
        names = {name for name in os.listdir(self._directory) if not name.startswith(".")}
        names.discard(self._own.name)
        for name in self._pipes.keys() - names:
            os.close(self._pipes.pop(name))
        for name in names - self._pipes.keys():
            path = self._directory / name
            try:
                self._pipes[name] = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                if error.errno == errno.ENXIO:  # its reader has died
                    path.unlink(missing_ok=True)
        self._changed_at = changed_at
        self._settled = time.time_ns() - changed_at > SETTLED_NANOSECONDS

    def _write(self, name: str, pipe: int, lines: bytes) -> None:
        try:
            os.write(pipe, lines)
        except BlockingIOError:
            pass  # full: its reader sees that, and has to look everywhere
        except BrokenPipeError:  # its reader has ended, or died
            os.close(self._pipes.pop(name))
            self._settled = False


def _capacity(pipe: int) -> int:
    if not hasattr(fcntl, "F_GETPIPE_SZ"):
        return USUAL_CAPACITY
    return fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)


_open_ones: WeakSet[Announcements] = WeakSet()


def _after_fork() -> None:
    for announcements in list(_open_ones):
        announcements.abandon()


os.register_at_fork(after_in_child=_after_fork)
