"""A stretch of network between two processes, that can be cut as a cable is: nobody is told.

While it is cut, what was sent waits, and connections come about but stay silent. When it is mended,
what waited arrives, though its sender may have given up long ago: as a network would have it.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType
from typing import Self

CHUNK = 1 << 18


class Link:
    """Listens on `port` of 127.0.0.1 for a server on another port there."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._peers: dict[socket.socket, socket.socket] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._whole = threading.Event()
        self._whole.set()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing = True
        self._whole.set()
        self._wake.send(b"x")
        self._thread.join()
        for one in (*self._peers, self._listener, self._wake, self._woken):
            one.close()
        self._selector.close()

    def cut(self) -> None:
        self._whole.clear()
        self._wake.send(b"x")

    def mend(self) -> None:
        self._whole.set()

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select():
                if not self._whole.is_set():
                    self._whole.wait()
                one = key.fileobj
                if one is self._woken:
                    self._woken.recv(CHUNK)
                elif one is self._listener:
                    self._accept()
                elif isinstance(one, socket.socket) and one in self._peers:
                    self._forward(one)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            client.close()
            return
        for one, other in ((client, server), (server, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.settimeout(30)
            self._peers[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, source: socket.socket) -> None:
        target = self._peers[source]
        try:
            data = source.recv(CHUNK)
            target.sendall(data)
        except OSError:
            data = b""
        if data:
            return
        for one in (source, target):  # in good order: what was sent before still arrives
            self._selector.unregister(one)
            del self._peers[one]
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_WR)
            one.close()
