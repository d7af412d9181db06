"""Listening sockets: made before any worker process, closed without cutting anybody off."""

from __future__ import annotations

import ctypes
import errno
import logging
import select
import socket
import struct
import sys
import time
from collections.abc import Sequence

import click

from queueing.config import address

log = logging.getLogger("queueing.server")

BACKLOG = 2048
DRAIN_SECONDS = 2.0  # longest wait for workers to take who has connected already

# For the kernel's packet filter, at a listening socket: drop what carries SYN, and nothing else.
_NO_SYN = (
    (0x30, 0, 0, 13),  # load the byte that holds the flags
    (0x45, 0, 1, 0x02),  # has it SYN?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # keep
)
_SO_ATTACH_FILTER = 26


def listen(bind: str, count: int = 1) -> list[socket.socket]:
    """Listening sockets on one address, among which the kernel spreads those who connect.

    :raises click.ClickException: the address is taken, not ours, unknown
    """
    host, port = address(bind)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise click.ClickException(f"bind {bind}: no such host: {error.strerror}") from None
    # `localhost` first of all as IPv4, which everybody tries.
    family, _, _, _, target = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    made: list[socket.socket] = []
    try:
        if count > 1:
            # Sockets that share a port do not notice others that do: one that shares with nobody asks.
            _bound(family, target, shared=False).close()
        for _ in range(count):
            listener = _bound(family, target, shared=count > 1)
            made.append(listener)
            target = listener.getsockname()  # the port that the first one got
        for listener in made:
            listener.listen(BACKLOG)
    except OSError as error:
        for listener in made:
            listener.close()
        hint = "; another program listens there" if error.errno == errno.EADDRINUSE else ""
        raise click.ClickException(f"bind {bind}: {error.strerror}{hint}") from None
    return made


def drain(listeners: Sequence[socket.socket]) -> None:
    """Make these sockets ready to be closed: nobody connects any more, nobody waits in a queue.

    Whoever is in a socket's queue has connected, and perhaps asked: closing it would cut them off. So
    newcomers are kept out first, and then the workers get the time to empty the queues.
    """
    for listener in listeners:
        _keep_out(listener)
    limit = time.monotonic() + DRAIN_SECONDS
    waiting = list(listeners)
    while waiting and time.monotonic() < limit:
        time.sleep(0.002)  # for the last step of a handshake, and for the workers
        waiting = select.select(waiting, (), (), 0)[0]


def _bound(family: int, target: tuple[object, ...], *, shared: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(target)
        if not shared:
            listener.listen(BACKLOG)  # which is when an address turns out to be taken
    except OSError:
        listener.close()
        raise
    return listener


def _keep_out(listener: socket.socket) -> None:
    """Drop requests to connect; who sends one tries again a second later, and is refused then."""
    if sys.platform != "linux":
        return
    program = b"".join(struct.pack("HBBI", *step) for step in _NO_SYN)
    held = ctypes.create_string_buffer(program)
    described = struct.pack("HP", len(_NO_SYN), ctypes.addressof(held))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)
    except OSError as error:
        log.debug("newcomers cannot be kept out: %s", error)
