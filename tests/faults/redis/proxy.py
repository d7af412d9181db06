"""A TCP proxy that cuts, holds or refuses at the byte where a test tells it to.

    with Proxy(server.port) as proxy:
        storage = driver.open(f"redis://127.0.0.1:{proxy.port}", timeout_seconds=5)
        proxy.cut_answer(after=3)      # the next answer is cut after three bytes, once
        storage.messages.pop(...)

It knows no protocol: a request is what the client sends until the server sends something.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

CHUNK = 65536
Side = Literal["request", "answer"]


@dataclass
class Order:
    """What to do to the bytes that go one way: let `after` of them pass, then cut or hold, once."""

    side: Side
    after: int
    hold: bool = False


@dataclass(eq=False)
class Pair:
    """A client's connection and ours to the server; `last`: whose bytes came last."""

    client: socket.socket
    server: socket.socket
    last: Side = "answer"


class Proxy:
    """Forwards to a port of this machine. Orders are carried out in turn, each once."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.round_trips = 0
        """How many requests have been seen."""
        self.fulfilled = 0
        """How many orders have been carried out."""
        self._refusing = False
        self._orders: list[Order] = []
        self._held: list[tuple[Pair, Side, bytes]] = []
        self._pairs: dict[socket.socket, Pair] = {}
        self._lock = threading.RLock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._wake, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

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
        self._wake.send(b"x")
        self._thread.join()
        for each in (self._listener, self._wake, self._woken):
            each.close()

    # Orders

    def cut_request(self, after: int) -> None:
        """Cut the connection when so many bytes of requests have passed."""
        self._order(Order("request", after))

    def cut_answer(self, after: int) -> None:
        """Cut the connection when so many bytes of answers have passed: the request was done."""
        self._order(Order("answer", after))

    def hold_request(self) -> None:
        """Keep the next request until `let_go`; its connection hears nothing."""
        self._order(Order("request", 0, hold=True))

    def hold_answer(self) -> None:
        """Keep the next answer until `let_go`: the request was done."""
        self._order(Order("answer", 0, hold=True))

    def let_go(self) -> None:
        """Forward all that is held, though its client may have gone: as a slow network would."""
        with self._lock:
            held, self._held = self._held, []
            for pair, side, data in held:
                with contextlib.suppress(OSError):
                    _send(pair.server if side == "request" else pair.client, data)

    def refuse(self, refusing: bool = True) -> None:
        """Cut all connections and accept none."""
        with self._lock:
            self._refusing = refusing
            if refusing:
                self._close_all()

    def _order(self, order: Order) -> None:
        with self._lock:
            self._orders.append(order)

    # Forwarding

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select():
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket):
                        self._forward(key.fileobj)
        with self._lock:
            self._close_all()
            for pair, _, _ in self._held:
                self._close(pair)
        self._selector.close()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self._refusing:
            _reset(client)
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.target), timeout=30)
        except OSError:
            _reset(client)
            return
        pair = Pair(client, server)
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs[each] = pair
            self._selector.register(each, selectors.EVENT_READ)

    def _forward(self, source: socket.socket) -> None:
        pair = self._pairs.get(source)
        if pair is None:
            return  # closed by what came before it in this round, or the one that only wakes
        side: Side = "request" if source is pair.client else "answer"
        try:
            data = source.recv(CHUNK)
        except OSError:
            data = b""
        if not data:
            self._ended(pair, source)
            return
        if side == "request" and pair.last == "answer":
            self.round_trips += 1
        pair.last = side
        target = pair.server if side == "request" else pair.client
        order = next((order for order in self._orders if order.side == side), None)
        head = data if order is None else data[: order.after]
        if head and not self._pass(pair, target, head):
            return
        if order is None:
            return
        order.after -= len(head)
        if order.after == 0:
            self._orders.remove(order)
            self.fulfilled += 1
            if order.hold:
                self._held.append((pair, side, data))
            else:
                self._close(pair)

    def _pass(self, pair: Pair, target: socket.socket, data: bytes) -> bool:
        try:
            _send(target, data)
        except OSError:
            self._close(pair)
            return False
        return True

    def _ended(self, pair: Pair, source: socket.socket) -> None:
        """One side has gone; what is held of the pair may still be let go."""
        if any(held is pair for held, _, _ in self._held):
            self._selector.unregister(source)
            del self._pairs[source]
        else:
            self._close(pair)

    def _close_all(self) -> None:
        for pair in list(self._pairs.values()):
            self._close(pair)

    def _close(self, pair: Pair) -> None:
        for each in (pair.client, pair.server):
            if self._pairs.pop(each, None) is not None:
                self._selector.unregister(each)
        _reset(pair.client)
        pair.server.close()  # in good order: what was sent to the server arrives


def _send(target: socket.socket, data: bytes) -> None:
    target.settimeout(30)
    target.sendall(data)


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
