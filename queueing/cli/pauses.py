"""Clients that stop in the middle of a body are let go, where the server waits for them without end.

granian does not say which connection a request came on. But the kernel says when each connection got
its last bytes, so the one that a thread waits for is among those from that address on which as long
nothing came as the client may pause, and something came since its request began. Linux only.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
import struct
import sys
import threading
import time
from collections.abc import Iterator
from typing import Final

log = logging.getLogger("queueing.server")

LAST_RECEIVED: Final = 8 + 11 * 4  # where `struct tcp_info` has the milliseconds since
SLACK: Final = 1.0  # seconds between a request's arrival and its first read, at most


class Pauses:
    """Who reads from whom, and since when."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout = timeout_seconds
        self._reading: dict[int, tuple[float, str]] = {}  # by thread: monotonic, address

    def begin(self, remote: str) -> int:
        token = threading.get_ident()
        self._reading[token] = (time.monotonic(), remote)
        return token

    def end(self, token: int) -> None:
        del self._reading[token]

    def watch(self, port: int) -> None:
        """Begin to let clients go that are connected to this port, in a thread of our own."""
        if sys.platform == "linux":
            threading.Thread(target=self._watch, args=(port,), name="pauses", daemon=True).start()

    def _watch(self, port: int) -> None:
        while True:
            time.sleep(min(1.0, self._timeout / 2))
            now = time.monotonic()
            paused = [
                (now - since, remote)
                for since, remote in list(self._reading.values())
                if now - since >= self._timeout
            ]
            if paused:
                self._let_go(paused, port)

    def _let_go(self, paused: list[tuple[float, str]], port: int) -> None:
        for connection, remote in connections(port):
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LAST_RECEIVED + 4)
            (silent,) = struct.unpack_from("I", info, LAST_RECEIVED)
            if any(
                remote == address and self._timeout <= silent / 1000 <= age + SLACK
                for age, address in paused
            ):
                log.info("a client paused for too long, its connection was closed")
                try:
                    connection.shutdown(socket.SHUT_RD)  # the read ends, short
                except OSError as error:
                    log.debug("the client was gone already: %s", error)


def connections(port: int) -> Iterator[tuple[socket.socket, str]]:
    """This process's connections to a port of ours, each with the address at the other end."""
    for name in os.listdir("/dev/fd"):
        try:
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            found = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue  # closed since it was listed
        with found:
            try:
                here, there = found.getsockname(), found.getpeername()
            except OSError:
                continue  # listens, or is of another kind
            if isinstance(here, tuple) and here[1] == port:
                yield found, there[0]
