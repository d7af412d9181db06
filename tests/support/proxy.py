"""A TCP proxy before a server, which cuts connections where a test says so.

It knows no protocol. A request is what a client sends after it was answered, an answer what the server
sends back. A test arms one `Cut`; the first request that it is for springs it, and all is well again.

    with Proxy(server_port) as proxy:
        storage = open(f"...127.0.0.1:{proxy.port}")
        proxy.arm(Where.BEFORE_ANSWER, lambda request: b"update" in request)
"""

from __future__ import annotations

import contextlib
import enum
import socket
import threading
from collections.abc import Callable
from typing import NamedTuple

CHUNK = 1 << 16


class Where(enum.Enum):
    BEFORE_REQUEST = "before the request"  # the server never hears of it
    WITHIN_REQUEST = "within the request"  # it gets half of it
    BEFORE_ANSWER = "before the answer"  # it does what was asked; nobody hears of that
    WITHIN_ANSWER = "within the answer"  # half of the answer arrives


class Cut(NamedTuple):
    where: Where
    on: Callable[[bytes], bool]
    passing: int  # how many requests like that go through first


class Proxy:
    """Listens on `port` of 127.0.0.1 for the server on another port there."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._lock = threading.Lock()
        self._cut: Cut | None = None
        self._open: set[socket.socket] = set()
        self.sprung = 0
        """How many cuts were made."""
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        # A thread that waits in accept keeps the port: wake it.
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            pass
        self._listener.close()
        self.cut_all()

    def arm(
        self,
        where: Where,
        on: Callable[[bytes], bool] = lambda request: True,
        *,
        passing: int = 0,
    ) -> None:
        """Cut the connection of the first request that is `on`, after so many that pass."""
        with self._lock:
            self._cut = Cut(where, on, passing)

    def disarm(self) -> None:
        with self._lock:
            self._cut = None

    def cut_all(self) -> None:
        """Cut every connection there is, wherever it is in what it does."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            _end(connection)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._closed:
                client.close()
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._upstream))
        except OSError:
            client.close()
            return
        pair = {client, server}
        for connection in pair:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open |= pair
        try:
            talk = Conversation(self, client, server)
            back = threading.Thread(target=talk.answers, daemon=True)
            back.start()
            talk.requests()
            back.join()
        finally:
            with self._lock:
                self._open -= pair
            for connection in pair:
                connection.close()

    def springs(self, request: bytes) -> Where | None:
        """Whether this request is the one that is waited for."""
        with self._lock:
            cut = self._cut
            if cut is None or not cut.on(request):
                return None
            if cut.passing:
                self._cut = cut._replace(passing=cut.passing - 1)
                return None
            self._cut = None
            self.sprung += 1
            return cut.where


class Conversation:
    """One client's connection and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._answered = True
        self._cut: Where | None = None

    def requests(self) -> None:
        """Pass on what the client says, until one of them ends it."""
        with contextlib.suppress(OSError):
            while data := self._client.recv(CHUNK):
                if self._answered:
                    self._answered = False
                    self._cut = self._proxy.springs(data)
                if self._cut is Where.BEFORE_REQUEST:
                    break
                if self._cut is Where.WITHIN_REQUEST:
                    self._server.sendall(data[: len(data) // 2])
                    break
                self._server.sendall(data)
        self._end()

    def answers(self) -> None:
        """Pass on what the server says, until one of them ends it."""
        with contextlib.suppress(OSError):
            while data := self._server.recv(CHUNK):
                if self._cut is Where.BEFORE_ANSWER:
                    break
                if self._cut is Where.WITHIN_ANSWER:
                    self._client.sendall(data[: len(data) // 2])
                    break
                self._answered = True
                self._client.sendall(data)
        self._end()

    def _end(self) -> None:
        _end(self._client)
        _end(self._server)


def _end(connection: socket.socket) -> None:
    """Also wakes a thread that waits for it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
