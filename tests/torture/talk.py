"""One connection of one client: a request, its answer, and nothing repeated."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable
from typing import Final

from queueing.bench.plan import Target
from queueing.bench.wire import UNANSWERED, UNSENT, NotHttp, Reply, Requests, cut

PROJECT: Final = "torture"

TIMEOUT_SECONDS: Final = 8.0
"""More than a node waits for its store."""


class Talk:
    """A request that gets no answer, or half of one, has status UNANSWERED: it may have been done. One
    that found nobody to connect to has UNSENT."""

    def __init__(self, url: str, timeout: float = TIMEOUT_SECONDS) -> None:
        self._target = Target.parse(url)
        self._requests = Requests(
            Target(host=self._target.host, port=self._target.port, project=PROJECT)
        )
        self._timeout = timeout
        self._socket: socket.socket | None = None

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Reply:
        request = self._requests(method.encode(), path.encode(), body)
        more = "".join(f"{name}: {value}\r\n" for name, value in headers).encode()
        head, line, rest = request.partition(b"\r\n")
        deadline = time.monotonic() + self._timeout
        try:
            connection = self._connected()
        except OSError:
            self.close()
            return Reply(UNSENT)
        try:
            connection.sendall(head + line + more + rest)
            reply = self._reply(connection, deadline)
        except (OSError, NotHttp):
            self.close()
            return Reply(UNANSWERED)
        if reply.closes:
            self.close()
        return reply

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            address = (self._target.host, self._target.port)
            self._socket = socket.create_connection(address, timeout=self._timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    @staticmethod
    def _reply(connection: socket.socket, deadline: float) -> Reply:
        received = b""
        while (found := cut(received)) is None:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            data = connection.recv(1 << 18)
            if not data:
                raise ConnectionResetError("closed before the answer")
            received += data
        return found[0]
