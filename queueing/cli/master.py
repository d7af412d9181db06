"""The master process: gunicorn's, whichever server its workers run.

Both ways to start use this: `queueing serve`, and gunicorn's own command with
`etc/gunicorn.conf.py`.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from queueing.cli.listening import drain
from queueing.cli.refusals import LARGEST_HEADER, LONGEST_REQUEST_LINE
from queueing.cli.shares import Shares
from queueing.cli.signals import FINISH, STOPPING
from queueing.config import Settings
from queueing.core.errors import SetupError, StorageUnavailable
from queueing.logs import GunicornLogger
from queueing.metrics import place
from queueing.wsgi import create_app, leave

log = logging.getLogger("queueing.server")

OTHER_FILES = 200  # per process: the store's connections among them
OPEN_FILES = 65536  # enough, and no more than the kernel grants without further ado
CONNECTIONS = 15_000  # idle ones and those waiting for a thread, per process


def options(settings: Settings) -> dict[str, Any]:
    """gunicorn's options, but for where to listen. Makes what all worker processes are to share.

    :raises SetupError: there cannot be metrics where the settings want them
    """
    place.prepare(settings)
    shares = Shares()
    return {
        "workers": wanted_workers(settings),
        "threads": settings.all_threads,
        "worker_class": worker_class(settings, shares),
        "child_exit": lambda _master, worker: shares.take_back(worker.age),
        # Connections of those that wait, of those that are served, and idle ones.
        "worker_connections": _connections(settings),
        "keepalive": settings.keep_alive_seconds,
        "graceful_timeout": settings.graceful_timeout_seconds,
        # A worker's heart beats in its main thread whatever its requests wait for, so this only
        # ends a process that hangs as a whole.
        "timeout": 120,
        "limit_request_line": LONGEST_REQUEST_LINE,
        "limit_request_field_size": LARGEST_HEADER,
        "logger_class": GunicornLogger,
        "loglevel": settings.log_level,
        "accesslog": None,  # the app writes its own
        "control_socket_disable": True,  # it would be made under HOME
    }


def _connections(settings: Settings) -> int:
    """How many a process holds. gunicorn closes idle ones when it has no room; granian does not, but
    holds many for little."""
    most = _open_files() - OTHER_FILES
    if settings.server == "granian":
        return most
    return min(CONNECTIONS + settings.all_threads, most)


def _open_files() -> int:
    """How many files a process of ours may have open: as many as the system lets us."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(most, OPEN_FILES)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
        return wanted
    return OPEN_FILES if now == resource.RLIM_INFINITY else now


def worker_class(settings: Settings, shares: Shares) -> type[Any]:
    """What runs in each worker process."""
    if settings.server == "granian":
        from queueing.cli import granian_server

        return granian_server.worker_class(settings.client_timeout_seconds)
    from queueing.cli import gunicorn_server

    return gunicorn_server.worker_class(
        settings.client_timeout_seconds, settings.max_messages_post_size, shares
    )


def check_installed(settings: Settings) -> None:
    """:raises SetupError: the server is not installed"""
    if settings.server == "granian" and importlib.util.find_spec("granian") is None:
        raise SetupError("server granian is not installed: pip install 'queueing[granian]'")


def listeners_wanted(settings: Settings) -> int:
    """How many sockets to listen on: granian's workers cannot share one evenly."""
    return wanted_workers(settings) if settings.server == "granian" else 1


def wanted_workers(settings: Settings) -> int:
    return settings.workers or default_workers(settings.storage)


def default_workers(storage: str) -> int:
    """How many processes a store can use on this machine."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return min(cores, 4) if storage.startswith("sqlite:") else cores


class Master(Arbiter):  # type: ignore[misc]  # gunicorn has no type hints
    """Stops gracefully on SIGTERM, Ctrl-C and a closed terminal; a second Ctrl-C ends requests in flight.

    At SIGTERM it goes on for a while before it stops, if it is to drain; another signal to stop ends that.
    """

    drain_seconds = 0.0
    stops_at: float | None = None  # monotonic

    LISTENERS: list[Any]
    others: Sequence[Any] = ()
    """Listeners that the worker to be forked has nothing to do with."""

    def init_signals(self) -> None:
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        super().init_signals()
        if ignored:  # by nohup
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def handle_term(self) -> None:
        leave()
        if self.stops_at is None and self.drain_seconds > 0:
            log.info("not ready any more, stops in %g s", self.drain_seconds)
            self.stops_at = time.monotonic() + self.drain_seconds
            return
        super().handle_term()

    def handle_hup(self) -> None:
        self.handle_int()

    def handle_int(self) -> None:
        leave()
        super().handle_term()

    def wait_for_signals(self, timeout: float = 1.0) -> list[int]:
        if self.stops_at is not None:
            left = self.stops_at - time.monotonic()
            if left <= 0:
                super().handle_term()
            timeout = min(timeout, left)
        signals: list[int] = super().wait_for_signals(timeout)
        return signals

    def handle_usr2(self) -> None:
        log.warning("SIGUSR2 is not served: start a new server and stop this one")

    def stop(self, graceful: bool = True) -> None:
        drain(self.LISTENERS)
        super().stop(graceful)

    def kill_worker(self, pid: int, sig: int) -> None:
        super().kill_worker(pid, FINISH if sig == signal.SIGTERM else sig)

    def spawn_worker(self) -> int:
        listeners = self.LISTENERS
        if len(listeners) > 1:  # one for each worker; whoever replaces one takes over its own
            taken = {listener for worker in self.WORKERS.values() for listener in worker.sockets}
            free = [listener for listener in listeners if listener not in taken]
            self.LISTENERS, self.others = free[:1], [*taken, *free[1:]]
        try:
            return self._spawn_worker()
        finally:
            self.LISTENERS = listeners

    def _spawn_worker(self) -> int:
        # A worker between its birth and its own handlers would lose a signal to stop.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            pid: int = super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Ends with 0, or with 1 when a worker did not start."""
        super().halt(reason, min(exit_status, 1))


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no type hints
    """Master and workers on sockets that listen already."""

    def __init__(self, settings: Settings, listeners: Sequence[socket.socket]) -> None:
        self._settings = settings
        self._listeners = [listener.detach() for listener in listeners]  # gunicorn closes them
        super().__init__()

    def load_config(self) -> None:
        for name, value in options(self._settings).items():
            self.cfg.set(name, value)
        self.cfg.set("post_fork", _prepare)
        self.cfg.set("bind", [f"fd://{listener}" for listener in self._listeners])

    def load(self) -> Any:
        """The app; called in each worker process. One that cannot be wired ends the server, with a line."""
        try:
            return create_app(self._settings)
        except (SetupError, StorageUnavailable) as error:
            log.error("a worker process could not start: %s", error)
            sys.exit(Arbiter.APP_LOAD_ERROR)

    def run(self) -> None:
        master = Master(self)
        master.drain_seconds = self._settings.drain_seconds
        master.run()


def _prepare(master: Master, worker: Any) -> None:
    worker.finishes = True
    for listener in master.others:
        listener.close()
