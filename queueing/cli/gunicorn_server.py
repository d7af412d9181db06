"""gunicorn's threaded worker as we run it: how it stops, what it says to a request that is none."""

from __future__ import annotations

import logging
import socket
import struct
from typing import Any

from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

from queueing.cli import refusals
from queueing.cli.signals import obey_master
from queueing.wsgi import stop_waiting

log = logging.getLogger("queueing.server")

STATUS = {
    errors.LimitRequestLine: refusals.URI_TOO_LONG,
    errors.LimitRequestHeaders: refusals.HEADERS_TOO_LARGE,
    errors.ExpectationFailed: refusals.EXPECTATION_FAILED,
    errors.ForbiddenProxyRequest: "403 Forbidden",
}


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no type hints
    client_timeout_seconds: float
    refuses = False  # connections: it is about to end

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


def worker_class(client_timeout_seconds: float) -> type[Worker]:
    return type("QueueingWorker", (Worker,), {"client_timeout_seconds": client_timeout_seconds})
