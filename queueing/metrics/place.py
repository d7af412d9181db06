"""Where the processes of one node keep their numbers, and where those are asked for.

Made once per node, before its workers are forked: a directory, and a listening socket that all workers
share. Each worker has a slot there, whose numbers go on with the next worker in it.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import shutil
import socket
import tempfile
from importlib.util import find_spec
from itertools import count
from pathlib import Path

from queueing.config import Settings, address
from queueing.core.errors import SetupError

log = logging.getLogger("queueing.server")

BACKLOG = 32
PREFIX = "queueing-metrics-"
OWNED = "node"
"""In the directory: locked for as long as a process of its node lives."""


class Place:
    """The directory and the socket of one node."""

    def __init__(self, directory: Path, listener: socket.socket) -> None:
        self.directory = directory
        self.listener = listener
        self._held: list[int] = []  # descriptors: a lock ends when its process does

    def take_slot(self) -> int:
        """A number that no other living process of this node has, for as long as this one lives."""
        for slot in count(1):
            lock = _lock(self._slot(slot))
            if lock is not None:
                self._held.append(lock)
                self._forget_gauges(slot)
                return slot
        raise AssertionError

    def workers(self) -> int:
        """How many processes have a slot; what the gauges of others said is forgotten."""
        living = 0
        for path in self.directory.glob("*.lock"):
            slot = int(path.stem)
            lock = _lock(path)
            if lock is None:
                living += 1
            else:
                self._forget_gauges(slot)
                os.close(lock)
        return living

    def _slot(self, slot: int) -> Path:
        return self.directory / f"{slot}.lock"

    def _forget_gauges(self, slot: int) -> None:
        for path in self.directory.glob(f"gauge_*_{slot}.db"):
            path.unlink(missing_ok=True)


_prepared: Place | None = None


def prepare(settings: Settings) -> Place | None:
    """The place of this node; made at the first call, inherited by forked processes. None: no metrics.

    :raises SetupError: prometheus-client is not installed, or `metrics_bind` cannot be listened on
    """
    global _prepared
    if not settings.metrics_bind:
        return None
    if _prepared is None:
        if find_spec("prometheus_client") is None:
            raise SetupError(
                "metrics_bind: needs the package prometheus-client: pip install 'queueing[metrics]'"
            )
        listener = _listen(settings.metrics_bind)
        try:
            _clear_away_abandoned()
            directory = _make_directory()
        except OSError as error:
            listener.close()
            raise SetupError(f"metrics_bind: no directory for temporary files: {error}") from None
        atexit.register(_remove, directory, os.getpid())
        _prepared = Place(directory, listener)
        host, port = listener.getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        log.info("metrics on http://%s:%s/metrics", name, port)
    return _prepared


def _listen(bind: str) -> socket.socket:
    host, port = address(bind)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = (
            os.strerror(error.errno) if isinstance(error.errno, int) and error.errno > 0 else error
        )
        raise SetupError(f"metrics_bind {bind}: {why}") from None
    listener.setblocking(False)  # all workers wait at it, one of them gets the connection
    return listener


def _make_directory() -> Path:
    """One that is ours for as long as this process lives, or one that was forked from it."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix=PREFIX))
        if _lock(directory / OWNED) is not None:
            return directory  # else somebody took it for abandoned, in the moment before


def _clear_away_abandoned() -> None:
    """Remove what nodes left behind that were killed."""
    for owned in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{OWNED}"):
        directory = owned.parent
        if directory.is_symlink() or directory.stat().st_uid != os.getuid():
            continue
        lock = _lock(owned)
        if lock is not None:
            shutil.rmtree(directory, ignore_errors=True)
            os.close(lock)


def _lock(path: Path) -> int | None:
    """A descriptor that holds a lock on this file; None if another process holds it."""
    lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _remove(directory: Path, pid: int) -> None:
    if os.getpid() == pid:  # not in a child that was forked
        shutil.rmtree(directory, ignore_errors=True)
