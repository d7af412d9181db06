"""Whether a client that waits is still there, as far as the server that runs the app lets us know.

gunicorn hands us the client's socket. For granian, what we put between it and the app says what it
finds out. A server that tells nothing leaves us in the dark: then a client that hung up is only noticed
when its answer cannot be sent.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from typing import Any

from queueing.service.waiting import Connection, UnknownConnection

# A client that has closed its sending half counts as gone: nobody sends half a connection a request
# and waits on the other half for long, and proxies close both at once.
GONE = getattr(select, "POLLRDHUP", select.POLLHUP) | select.POLLHUP | select.POLLERR


def connection_of(environ: dict[str, Any]) -> Connection:
    """The connection that a WSGI request came on."""
    told: Connection | None = environ.get("queueing.connection")
    if told is not None:
        return told
    found = environ.get("gunicorn.socket")
    return SocketConnection(found) if isinstance(found, socket.socket) else UnknownConnection()


class SocketConnection(Connection):
    """A connection whose socket is ours to look at, while its request is being answered."""

    def __init__(self, client: socket.socket) -> None:
        self._file = client.fileno()

    def is_lost(self) -> bool:
        # By its state and not by reading: what a client sent ahead stays for the server.
        looking = select.poll()
        looking.register(self._file, GONE)
        return any(events & (GONE | select.POLLNVAL) for _, events in looking.poll(0))

    def watch(self, wake: Callable[[], None]) -> None:
        watcher.watch(self._file, wake)

    def unwatch(self) -> None:
        watcher.unwatch(self._file)


class Watcher:
    """One thread of the process that is told by the kernel which clients hang up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wakes: dict[int, Callable[[], None]] = {}
        self._epoll: select.epoll | None = None

    def watch(self, file: int, wake: Callable[[], None]) -> None:
        """Call `wake` once when the other side of this socket may have hung up."""
        if not hasattr(select, "epoll"):
            return  # it is noticed all the same before anything is taken for this client
        with self._lock:
            if self._epoll is None:
                self._epoll = select.epoll()
                threading.Thread(target=self._run, args=(self._epoll,), daemon=True).start()
            events = select.EPOLLRDHUP | select.EPOLLONESHOT  # the other two are always told
            if file in self._wakes:
                self._epoll.modify(file, events)
            else:
                self._epoll.register(file, events)
            self._wakes[file] = wake

    def unwatch(self, file: int) -> None:
        with self._lock:
            if self._wakes.pop(file, None) is not None and self._epoll is not None:
                self._epoll.unregister(file)

    def _run(self, epoll: select.epoll) -> None:
        while True:
            for file, _ in epoll.poll():
                with self._lock:
                    wake = self._wakes.get(file)
                # By now another connection may have this number: who is woken looks for himself.
                if wake is not None:
                    wake()


watcher = Watcher()
