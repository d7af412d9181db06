"""Clients that hang up while their request waits, noticed where the server does not say who they are.

granian closes the connection of a client that hangs up at once, but tells the app neither that nor
which connection a request came on. The kernel says of each connection that is left when its last bytes
came: so a request that waits belongs to one on which bytes came just before it began, and nothing was
sent since. One for which there is none any more has lost its client. Of several that began within the
same moment it is not known which; then any of them is answered early, and its client asks again.
Linux only.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import sys
import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

log = logging.getLogger("queueing.server")

LOOK_SECONDS: Final = 1.0
LOOK_SHARE: Final = 0.02
"""How much of its time the process spends looking, at most, however many connections there are."""

BEFORE_SECONDS: Final = 5.0
"""How long before its request begins the last bytes of a connection came, at most."""

AFTER_SECONDS: Final = 0.02
"""The kernel counts in ticks, so bytes may seem to have come after the request that they were."""

TCP_INFO: Final = struct.Struct("44xI4xI")
"""Of `struct tcp_info`: milliseconds since something was sent, and since something came."""


class Client:
    """The client of one request, as `queueing.service.waiting.Connection` asks for it."""

    __slots__ = ("_hang_ups", "_is_lost", "_wake", "began", "remote", "suspected")

    def __init__(self, hang_ups: HangUps, remote: str) -> None:
        self._hang_ups = hang_ups
        self._wake: Callable[[], None] | None = None
        self._is_lost = False
        self.began = time.monotonic()
        self.remote = remote
        self.suspected = False

    def is_lost(self) -> bool:
        return self._is_lost

    def watch(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._hang_ups.add(self)

    def unwatch(self) -> None:
        self._hang_ups.remove(self)

    def lose(self) -> None:
        self._is_lost = True
        if self._wake is not None:
            self._wake()


class HangUps:
    """All clients of this process that wait. Threads share it."""

    def __init__(self) -> None:
        self._waiting: dict[Client, None] = {}

    def add(self, client: Client) -> None:
        self._waiting[client] = None

    def remove(self, client: Client) -> None:
        self._waiting.pop(client, None)

    def watch(self, port: int) -> None:
        """Begin to look for those who hang up on this port, in a thread of our own."""
        if sys.platform == "linux":
            threading.Thread(target=self._watch, args=(port,), name="hangups", daemon=True).start()

    def _watch(self, port: int) -> None:
        took = 0.0
        while True:
            time.sleep(max(LOOK_SECONDS, took / LOOK_SHARE))
            began = time.thread_time()
            waiting = list(self._waiting)  # before the connections: who comes later has one, too
            if waiting:
                self._look(waiting, pending(port))
            took = time.thread_time() - began

    def _look(self, waiting: Iterable[Client], connections: Iterable[tuple[str, float]]) -> None:
        """Lose those who had no connection now and the last time."""
        missing = set(without_connection(waiting, connections))
        lost = [client for client in missing if client.suspected]
        for client in waiting:
            client.suspected = client in missing
        for client in lost:
            client.lose()
        if lost:
            log.debug("%d clients hung up while they waited", len(lost))


def without_connection(
    waiting: Iterable[Client], connections: Iterable[tuple[str, float]]
) -> Iterator[Client]:
    """Those to whom none of the connections can belong: the address at the other end of each, and
    when its last bytes came (monotonic)."""
    by_remote: defaultdict[str, list[float]] = defaultdict(list)
    for remote, came in connections:
        by_remote[remote].append(came)
    for times in by_remote.values():
        times.sort()
    for client in sorted(waiting, key=lambda client: client.began):
        times = by_remote.get(canonical(client.remote), [])
        # The latest that fits: those before are for requests that began before.
        at = bisect_right(times, client.began + AFTER_SECONDS) - 1
        if at >= 0 and times[at] >= client.began - BEFORE_SECONDS:
            del times[at]
        else:
            yield client


def pending(port: int) -> Sequence[tuple[str, float]]:
    """This process's connections to a port of ours on which the client is owed an answer, it seems:
    the address at the other end, and when its last bytes came (monotonic)."""
    found = []
    for name in os.listdir("/dev/fd"):
        try:
            # Without a descriptor of our own for each: what is read of one that was closed just now,
            # and its number given to another, does no harm.
            here = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, int(name))
        except OSError:
            continue
        try:
            address = here.getsockname()
            if not isinstance(address, tuple) or address[1] != port:
                continue
            there = here.getpeername()
            info = here.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size)
        except OSError:
            continue  # no socket, or none that is connected
        finally:
            here.detach()
        sent, came = TCP_INFO.unpack(info)
        if came <= sent:
            found.append((canonical(there[0]), time.monotonic() - came / 1000))
    return found


@lru_cache(maxsize=4096)
def canonical(address: str) -> str:
    """One spelling for each address, whoever wrote it."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)
