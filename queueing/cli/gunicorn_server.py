"""gunicorn's threaded worker as we run it: how it stops, what it says to a request that is none."""

from __future__ import annotations

import logging
import selectors
import socket
import struct
from typing import Any

from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

from queueing.cli import refusals
from queueing.cli.shares import Shares
from queueing.cli.signals import obey_master
from queueing.wsgi import stop_waiting

log = logging.getLogger("queueing.server")

YIELD_SECONDS = 0.002  # how long who has fewer connections may take to accept one

STATUS = {
    errors.LimitRequestLine: refusals.URI_TOO_LONG,
    errors.LimitRequestHeaders: refusals.HEADERS_TOO_LARGE,
    errors.ExpectationFailed: refusals.EXPECTATION_FAILED,
    errors.ForbiddenProxyRequest: "403 Forbidden",
}


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no type hints
    client_timeout_seconds: float
    shares: Shares
    refuses = False  # connections: it is about to end

    def __init__(self, age: int, *arguments: Any) -> None:
        self._slot = self.shares.give(age)  # in the master still
        self._yielded: list[Any] = []  # listeners that are left to others for a moment
        self._yielded_once = False
        super().__init__(age, *arguments)

    @property
    def nr_conns(self) -> int:
        """gunicorn's count of this process's connections."""
        return self._connections

    @nr_conns.setter
    def nr_conns(self, count: int) -> None:
        self._connections = count
        self.shares.put(self._slot, count)

    def accept(self, listener: Any) -> None:
        if self.alive and not self._yielded_once and self.shares.is_above(self._slot):
            self.poller.unregister(listener)
            self._yielded.append(listener)
            return
        self._yielded_once = False
        super().accept(listener)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        if not self._yielded:
            super().wait_for_and_dispatch_events(timeout)
            return
        super().wait_for_and_dispatch_events(min(timeout, YIELD_SECONDS))
        self._take_up()

    def _take_up(self) -> None:
        """Accept again: whoever still waits was not taken by those who have fewer connections."""
        while self._yielded:
            self.poller.register(self._yielded.pop(), selectors.EVENT_READ, self.accept)
            self._yielded_once = True

    def init_signals(self) -> None:
        super().init_signals()
        obey_master(self)

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
        self._take_up()
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
            status = STATUS.get(type(exc), refusals.BAD_REQUEST)
            why = str(exc)[:200]
            headers, body = refusals.refusal(status, why)
            log.info("%s refused: %s", addr[0] if addr else "-", why)
        else:
            status = "500 Internal Server Error"
            headers, body = refusals.answer({"title": "Internal server error"})
            log.error("a request failed outside the app", exc_info=exc)
        head = f"HTTP/1.1 {status}\r\n"
        for name, value in headers:
            head += f"{name}: {value}\r\n"
        try:
            util.write_nonblock(client, f"{head}\r\n".encode("ascii") + body)
        except OSError:
            log.debug("the client was gone before it could be answered", exc_info=True)


def _closed(graceful: bool = False) -> None:
    """In the place of a connection's `close`, once it is closed."""


def worker_class(client_timeout_seconds: float, shares: Shares) -> type[Worker]:
    members = {"client_timeout_seconds": client_timeout_seconds, "shares": shares}
    return type("QueueingWorker", (Worker,), members)
