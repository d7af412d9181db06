"""gunicorn's threaded worker as we run it: who gets a thread, how it stops, what it says to a request
that is none.

The main thread gathers requests until they are whole, and only then they get a thread. When there is no
room for one more connection, the one that has been idle for longest goes.
"""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import struct
import sys
import time
from functools import partial
from typing import Any, Final

from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from queueing.cli import refusals
from queueing.cli.arrivals import CONTINUE, Arrival
from queueing.cli.shares import Shares
from queueing.cli.signals import obey_master
from queueing.wsgi import stop_waiting

log = logging.getLogger("queueing.server")

CHUNK: Final = 65536
MOST_GATHERED: Final = 64 * 1024 * 1024  # bytes of all requests that are still arriving
LARGEST_GATHERED: Final = 1024 * 1024  # bytes of a body; a longer one gets a thread at once

YIELD_SECONDS = 0.002  # how long who has fewer connections may take to accept one

STATUS = {
    errors.LimitRequestLine: refusals.URI_TOO_LONG,
    errors.LimitRequestHeaders: refusals.HEADERS_TOO_LARGE,
    errors.ExpectationFailed: refusals.EXPECTATION_FAILED,
    errors.ForbiddenProxyRequest: "403 Forbidden",
}


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no type hints
    client_timeout_seconds: float
    largest_body: int
    shares: Shares
    worker_connections: int
    refuses = False  # connections: it is about to end

    def __init__(self, age: int, *arguments: Any) -> None:
        self._slot = self.shares.give(age)  # in the master still
        self._yielded: list[Any] = []  # listeners that are left to others for a moment
        self._yielded_once = False
        super().__init__(age, *arguments)
        self._most = self.worker_connections
        self.worker_connections = sys.maxsize  # gunicorn would stop to accept
        self._arriving: dict[Any, Arrival] = {}  # by connection, in the order in which they began
        self._looked_at = 0.0  # monotonic

    @property
    def nr_conns(self) -> int:
        """gunicorn's count of this process's connections."""
        return self._connections

    @nr_conns.setter
    def nr_conns(self, count: int) -> None:
        self._connections = count
        self.shares.put(self._slot, count)

    def accept(self, listener: Any) -> bool:
        """Whether somebody else may be waiting to be accepted: nobody said that there is none."""
        if self.alive and not self._yielded_once and self.shares.is_above(self._slot):
            self._yield(listener)
            return False
        self._yielded_once = False
        while self.nr_conns >= self._most:
            if not self._drop_idlest():
                self._yield(listener)  # all of them are being served
                return False
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                log.warning("too many open files: %s", error)
                has_room = self._drop_idlest()
                self._yield(listener)
                return has_room
            if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
                return False
            if error.errno != errno.ECONNABORTED:
                raise
            return True
        self.nr_conns += 1
        self.enqueue_req(TConn(self.cfg, client, address, listener.getsockname()))
        return True

    def _yield(self, listener: Any) -> None:
        """Accept nobody for a moment; when stopping, there is nobody to yield to."""
        if self.alive:
            self.poller.unregister(listener)
            self._yielded.append(listener)

    def _drop_idlest(self) -> bool:
        """Close the connection that has been without a whole request for longest; whether there was one."""
        arriving = next(iter(self._arriving), None)
        kept = self.keepalived_conns[0] if self.keepalived_conns else None
        if arriving is None and kept is None:
            return False
        if kept is None or (
            arriving is not None
            and self._arriving[arriving].began <= kept.timeout - self.cfg.keepalive
        ):
            self._drop(arriving)
            return True
        self.keepalived_conns.popleft()
        self.poller.unregister(kept.sock)
        self.nr_conns -= 1
        kept.close()
        return True

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
        """Gather its next request, some of which may be there, and give it a thread when it is whole."""
        if not conn.initialized:
            # By the kernel, since gunicorn waits for ever once it has seen a request's first byte.
            whole, rest = divmod(self.client_timeout_seconds, 1)
            timeout = struct.pack("@ll", int(whole), int(rest * 1e6))
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
            conn.init()
        conn.sock.setblocking(False)
        arrival = Arrival(self.largest_body)
        if ahead := conn.parser.unreader.take_buffered():
            arrival.add(ahead)
        if not self._gather(conn, arrival):
            self._arriving[conn] = arrival
            self.poller.register(
                conn.sock, selectors.EVENT_READ, partial(self._more_came, conn, arrival)
            )

    def _more_came(self, conn: Any, arrival: Arrival, _client: object = None) -> bool:
        """Whether anything did, or the connection ended."""
        before = len(arrival.bytes)
        if self._arriving.get(conn) is arrival and self._gather(conn, arrival):
            del self._arriving[conn]
            return True
        return len(arrival.bytes) > before and before == 0

    def _gather(self, conn: Any, arrival: Arrival) -> bool:
        """Take what came; whether the connection arrives no longer: it has a thread, or is closed."""
        if not (arrival.is_whole or arrival.is_too_large):
            try:
                data = conn.sock.recv(CHUNK)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                data = b""
                arrival.bytes.clear()
            if not data:
                if arrival.bytes:
                    self._give_thread(conn, arrival)  # it ends early, which the app is told
                else:
                    self._close(conn, arrival)
                return True
            arrival.add(data)
        if arrival.owes_continue:
            arrival.owes_continue = False
            try:
                conn.sock.send(CONTINUE)
            except OSError:
                log.debug("the client was gone before it could be told to go on", exc_info=True)
        if arrival.is_whole or arrival.is_too_large:
            self._give_thread(conn, arrival)
            return True
        return False

    def _give_thread(self, conn: Any, arrival: Arrival) -> None:
        if conn in self._arriving:
            self.poller.unregister(conn.sock)
        conn.is_too_large = arrival.is_too_large
        conn.parser.unreader.unread(bytes(arrival.bytes))
        super().enqueue_req(conn)

    def _drop(self, conn: Any) -> None:
        self._close(conn, self._arriving[conn])
        del self._arriving[conn]

    def _close(self, conn: Any, arrival: Arrival) -> None:
        if conn in self._arriving:
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """Let go of who has taken too long."""
        now = time.monotonic()
        if now - self._looked_at < min(1.0, self.client_timeout_seconds / 2):
            return
        self._looked_at = now
        patience = self.client_timeout_seconds
        idle = max(patience, self.cfg.keepalive) if self.alive else STOP_KEEPALIVE_LINGER
        gathered = 0
        for conn, arrival in list(self._arriving.items()):
            gathered += len(arrival.bytes)
            if gathered > MOST_GATHERED:
                log.warning("too much of unfinished requests, a connection was closed")
                self._drop(conn)
            elif arrival.is_over_due(now, patience, idle) and not self._more_came(conn, arrival):
                log.info("a client paused for too long, its connection was closed")
                self._drop(conn)

    def handle(self, conn: Any) -> Any:
        if conn.is_too_large:
            error = errors.LimitRequestHeaders("The head of a request is too large.")
            self.handle_error(None, conn.sock, conn.client, error)
        again = False if conn.is_too_large else super().handle(conn)
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
            while self.accept(listener):
                pass  # until one finds nobody; who has hung up already is not the last
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


def worker_class(client_timeout_seconds: float, largest_body: int, shares: Shares) -> type[Worker]:
    members = {
        "client_timeout_seconds": client_timeout_seconds,
        "largest_body": min(largest_body, LARGEST_GATHERED),
        "shares": shares,
    }
    return type("QueueingWorker", (Worker,), members)
