"""gunicorn as we run it: what it is told, how it stops, what it says to a request that is none.

Both ways to start use this: `queueing serve`, and gunicorn's own command with
`etc/gunicorn.conf.py`.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import struct
import sys
import uuid
from typing import Any

from gunicorn import util
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

from queueing.config import Settings
from queueing.core.errors import SetupError, StorageUnavailable
from queueing.logs import GunicornLogger
from queueing.wsgi import create_app, stop_waiting

log = logging.getLogger("queueing.server")

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
LARGEST_HEADER = 16 * 1024  # bytes of one header line; more is answered 431
CONNECTIONS = 1000  # idle ones and those waiting for a thread, per process
BAD_REQUEST = "400 Bad Request"
STATUS = {  # with the phrases of RFC 9110: those of Python depend on its version
    errors.LimitRequestLine: "414 URI Too Long",
    errors.LimitRequestHeaders: "431 Request Header Fields Too Large",
    errors.ExpectationFailed: "417 Expectation Failed",
    errors.ForbiddenProxyRequest: "403 Forbidden",
}


def options(settings: Settings) -> dict[str, Any]:
    """gunicorn's options, but for where to listen."""
    return {
        "workers": settings.workers or default_workers(settings.storage),
        "threads": settings.all_threads,
        # Connections of those that wait, of those that are served, and idle ones.
        "worker_connections": CONNECTIONS + settings.all_threads,
        "worker_class": worker_class(settings.client_timeout_seconds),
        "keepalive": settings.keep_alive_seconds,
        "graceful_timeout": settings.graceful_timeout_seconds,
        # A worker's heart beats in its main thread whatever its requests wait for, so this only
        # ends a process that hangs as a whole.
        "timeout": 120,
        "limit_request_line": 8190,
        "limit_request_field_size": LARGEST_HEADER,
        "logger_class": GunicornLogger,
        "loglevel": settings.log_level,
        "accesslog": None,  # the app writes its own
        "control_socket_disable": True,  # it would be made under HOME
    }


def default_workers(storage: str) -> int:
    """How many processes a store can use on this machine."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return min(cores, 4) if storage.startswith("sqlite:") else cores


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no type hints
    client_timeout_seconds: float
    refuses = False  # connections: it is about to end

    def init_signals(self) -> None:
        super().init_signals()
        # A terminal sends these to every process; it is for the master to decide what they mean.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def enqueue_req(self, conn: Any) -> None:
        if not conn.initialized:
            # By the kernel, since gunicorn waits for ever once it has seen a request's first byte.
            whole, rest = divmod(self.client_timeout_seconds, 1)
            timeout = struct.pack("@ll", int(whole), int(rest * 1e6))
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        again = super().handle(conn)
        if again is False:
            # Waits until the client closes too, a moment at most. In gunicorn the main thread does
            # it, and one client that takes its time holds up all others.
            util.close_graceful(conn.sock)
            conn.close = _closed
        return again

    def set_accept_enabled(self, enabled: bool) -> None:
        """When stopping: take who has connected already, then let nobody connect any more.

        A socket that is left open would let clients connect, wait, and be cut off in the end.
        """
        super().set_accept_enabled(enabled)
        if enabled or self.alive or self.refuses:
            return
        self.refuses = True
        stop_waiting()
        for listener in self.sockets:
            before = None
            while self.nr_conns != before:  # until an accept finds nobody
                before = self.nr_conns
                self.accept(listener)
            listener.close()

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer what the app never saw, in the shape of the app's own errors."""
        if isinstance(exc, errors.ParseException) and not isinstance(
            exc, errors.InvalidResponseHeader | errors.InvalidResponseHeaderName
        ):
            status = STATUS.get(type(exc), BAD_REQUEST)
            title = "Bad request" if status == BAD_REQUEST else status
            why = str(exc)[:200]
            document = {"title": title, "description": why}
            log.info("%s refused: %s", addr[0] if addr else "-", why)
        else:
            status = "500 Internal Server Error"
            document = {"title": "Internal server error"}
            log.error("a request failed outside the app", exc_info=exc)
        body = json.dumps(document).encode()
        head = (
            f"HTTP/1.1 {status}\r\n"
            f"X-OpenStack-Request-ID: req-{uuid.uuid4()}\r\n"
            "Connection: close\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        try:
            util.write_nonblock(client, head.encode("ascii") + body)
        except OSError:
            log.debug("the client was gone before it could be answered", exc_info=True)


def _closed(graceful: bool = False) -> None:
    """In the place of a connection's `close`, once it is closed."""


def worker_class(client_timeout_seconds: float) -> type[Worker]:
    return type("QueueingWorker", (Worker,), {"client_timeout_seconds": client_timeout_seconds})


class Master(Arbiter):  # type: ignore[misc]  # gunicorn has no type hints
    """Stops gracefully on SIGTERM, Ctrl-C and a closed terminal; a second Ctrl-C ends requests in flight."""

    def init_signals(self) -> None:
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        super().init_signals()
        if ignored:  # by nohup
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def handle_hup(self) -> None:
        self.handle_term()

    def handle_int(self) -> None:
        self.handle_term()

    def handle_usr2(self) -> None:
        log.warning("SIGUSR2 is not served: start a new server and stop this one")

    def spawn_worker(self) -> int:
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


def hold_signals() -> None:
    """Let signals to stop wait until the master can handle them: it has been announced by then."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no type hints
    """gunicorn on a socket that listens already."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener.detach()  # gunicorn closes it
        super().__init__()

    def load_config(self) -> None:
        for name, value in options(self._settings).items():
            self.cfg.set(name, value)
        self.cfg.set("bind", f"fd://{self._listener}")

    def load(self) -> Any:
        """The app; called in each worker process. One that cannot be wired ends the server, with a line."""
        try:
            return create_app(self._settings)
        except (SetupError, StorageUnavailable) as error:
            log.error("a worker process could not start: %s", error)
            sys.exit(Arbiter.APP_LOAD_ERROR)

    def run(self) -> None:
        Master(self).run()
