"""Connections that are made anew: behind the same address there may be another server now."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet


class Reconnects:
    """Tells when a connection was lost and is there again, or leads elsewhere. Threads share it."""

    def __init__(self) -> None:
        self._told: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._watched: WeakSet[Any] = WeakSet()
        self._address: tuple[str, int] | None = None

    def tell(self, callback: Callable[[], None]) -> None:
        """Call it each time, in the thread that has connected."""
        self._told.append(callback)

    def watch(self, connection: Any, *, one_address: bool = False) -> None:
        """Look at a connection of a pool, which is open. `one_address`: all that are watched lead to
        one server, by whatever address it has at the time."""
        if connection in self._watched:
            return
        with self._lock:
            self._watched.add(connection)
            connection.register_connect_callback(self._made_anew)
            elsewhere = one_address and self._address not in (None, _address_of(connection))
            if one_address:
                self._address = _address_of(connection)
        if elsewhere:
            self.happened()

    def happened(self) -> None:
        for callback in self._told:
            callback()

    def _made_anew(self, connection: Any) -> None:
        # redis-py keeps its connections, and opens one again that it has lost.
        with self._lock:
            if self._address is not None:
                self._address = _address_of(connection)
        self.happened()


def _address_of(connection: Any) -> tuple[str, int]:
    return connection.host, connection.port
