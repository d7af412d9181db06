"""Many clients in one process: each is a generator that hands out requests and is given the replies.

Threads would share one interpreter and switch at the wrong moments; here a request costs two system
calls and some 20 µs, so that a process of the load generator outruns most servers.
"""

from __future__ import annotations

import heapq
import selectors
import socket
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import count
from typing import Any

from queueing.bench.plan import Target
from queueing.bench.record import Record
from queueing.bench.wire import UNANSWERED, UNSENT, NotHttp, Reply, cut

CHUNK = 256 * 1024  # bytes read at once
GLIMPSE_SECONDS = 0.5  # between two looks for requests whose time is up


@dataclass(slots=True)
class Call:
    """A request as bytes. A 204, or a reply whose body is `empty`, counts as `nothing` if that is given.
    `idles`: the server may hold it back, so nobody waits for its answer when the run is over."""

    operation: str
    data: bytes
    nothing: str = ""
    idles: bool = False
    empty: bytes = b""


Client = Generator[Call | float, Reply, None]
"""Hands out calls, and seconds to pause for (whose reply says nothing)."""

_PAUSED = Reply(UNSENT)


class Loop:
    """Runs clients until all have ended."""

    def __init__(self, target: Target) -> None:
        self.record = Record()
        self._target = target
        self._selector = selectors.DefaultSelector()
        self._connections: set[_Connection] = set()
        self._timers: list[tuple[float, int, _Connection]] = []
        self._ticket = count()
        self._abandoning = False

    def watch(self, file: int, callback: Callable[[], None]) -> None:
        """Call back when there is something to read."""
        self._selector.register(file, selectors.EVENT_READ, callback)

    def abandon_idle(self) -> None:
        """End clients whose request the server holds back."""
        self._abandoning = True
        for connection in [one for one in self._connections if one.call and one.call.idles]:
            self._end(connection)

    def run(self, clients: list[Client], *, tick: Callable[[], None]) -> Record:
        """Run these clients until all have ended; `tick` is called a few times a second.

        :returns: what they did
        """
        self.record = record = Record()
        self._abandoning = False
        began, cpu, idle = time.perf_counter(), time.process_time(), 0.0
        for client in clients:
            connection = _Connection(self._target, client)
            self._connections.add(connection)
            self._proceed(connection, None)
        glimpse = began + GLIMPSE_SECONDS
        while self._connections:
            now = time.perf_counter()
            if now >= glimpse:
                self._time_out(now)
                tick()
                glimpse = now + GLIMPSE_SECONDS
            timeout = glimpse - now
            if self._timers:
                timeout = min(timeout, max(0.0, self._timers[0][0] - now))
            events = self._selector.select(timeout)
            woken = time.perf_counter()
            idle += woken - now
            for key, mask in events:
                if isinstance(key.data, _Connection):
                    self._happened(key.data, mask)
                else:
                    key.data()
            while self._timers and self._timers[0][0] <= woken:
                connection = heapq.heappop(self._timers)[2]
                if connection in self._connections:
                    self._proceed(connection, _PAUSED)
        record.seconds = time.perf_counter() - began
        record.busy_seconds = record.seconds - idle
        record.cpu_seconds = time.process_time() - cpu
        return record

    def _proceed(self, connection: _Connection, reply: Reply | None) -> None:
        """Give a client its reply, again and again as long as there is one at once."""
        while True:
            try:
                step = connection.client.send(reply) if reply else next(connection.client)
            except StopIteration:
                self._end(connection)
                return
            if isinstance(step, float):
                due = time.perf_counter() + step
                heapq.heappush(self._timers, (due, next(self._ticket), connection))
                return
            if step.idles and self._abandoning:
                self._end(connection)
                return
            if self._begin(connection, step):
                return
            reply = self._finish(connection, Reply(UNSENT))

    def _begin(self, connection: _Connection, call: Call) -> bool:
        """Send a request; False if there is no connection to send it on."""
        connection.call = call
        connection.began = time.perf_counter_ns()
        if connection.socket is None:
            try:
                connection.open()
            except OSError:
                return False
            self._register(connection, selectors.EVENT_READ)
        connection.unsent = memoryview(call.data)
        self._send(connection)
        return True

    def _send(self, connection: _Connection) -> None:
        assert connection.socket is not None
        try:
            sent = connection.socket.send(connection.unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the reading side will learn of it
        connection.unsent = connection.unsent[sent:]
        wanted = selectors.EVENT_READ
        if connection.unsent:
            wanted |= selectors.EVENT_WRITE
        if wanted != connection.wanted:
            connection.wanted = wanted
            self._selector.modify(connection.socket, wanted, connection)

    def _happened(self, connection: _Connection, mask: int) -> None:
        if connection.socket is None:
            return  # closed by what happened just before
        if mask & selectors.EVENT_WRITE:
            self._send(connection)
        if not mask & selectors.EVENT_READ:
            return
        try:
            received = connection.socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self._close(connection)
            if connection.call:
                self._proceed(connection, self._finish(connection, Reply(UNANSWERED)))
            return
        connection.received += received
        try:
            found = cut(connection.received) if connection.call else None
        except NotHttp:
            self._close(connection)
            self._proceed(connection, self._finish(connection, Reply(UNANSWERED)))
            return
        if found:
            reply, length = found
            connection.received = connection.received[length:]
            if reply.closes:
                self._close(connection)
            self._proceed(connection, self._finish(connection, reply))

    def _finish(self, connection: _Connection, reply: Reply) -> Reply:
        call = connection.call
        assert call is not None
        operation = call.operation
        if call.nothing and (reply.status == 204 or (call.empty and reply.body == call.empty)):
            operation = call.nothing
        self.record.add(operation, reply, time.perf_counter_ns() - connection.began)
        connection.call = None
        return reply

    def _time_out(self, now: float) -> None:
        limit = int((now - self._target.timeout_seconds) * 1e9)
        for connection in list(self._connections):
            call = connection.call
            if call and not call.idles and connection.began < limit:
                self._close(connection)
                self._proceed(connection, self._finish(connection, Reply(UNANSWERED)))

    def _register(self, connection: _Connection, wanted: int) -> None:
        assert connection.socket is not None
        connection.wanted = wanted
        self._selector.register(connection.socket, wanted, connection)

    def _close(self, connection: _Connection) -> None:
        if connection.socket is not None:
            self._selector.unregister(connection.socket)
            connection.close()

    def _end(self, connection: _Connection) -> None:
        self._close(connection)
        connection.client.close()
        self._connections.discard(connection)


class _Connection:
    """A client's connection: kept as long as the server keeps it, opened again when it is needed."""

    def __init__(self, target: Target, client: Client) -> None:
        self.client = client
        self.socket: socket.socket | None = None
        self.call: Call | None = None
        self.began = 0
        self.received = b""
        self.unsent: Any = memoryview(b"")
        self.wanted = 0
        self._target = target

    def open(self) -> None:
        opened = socket.create_connection(
            (self._target.host, self._target.port), timeout=self._target.timeout_seconds
        )
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket, self.received = opened, b""

    def close(self) -> None:
        assert self.socket is not None
        self.socket.close()
        self.socket, self.received, self.unsent = None, b"", memoryview(b"")
