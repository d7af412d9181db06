"""Telling other processes what got free: scripts publish it, and a thread here hears it.

The steps that make messages free publish that in a channel of the queue, which costs next to nothing
while nobody listens. A process subscribes to the channels of those queues only that somebody in it
waits at, all of them on one connection, read by one thread. In a Cluster the channels are sharded
(Redis 7): one connection to each node that holds such a queue. Older Clusters would tell every post
to every node; there nothing can be followed, and who waits looks by himself.

A subscription is counted as made when the server has confirmed it. After a connection was lost it is
made anew, and then everybody is told to look (`UNKNOWN`): something may have been published between.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from secrets import token_hex
from typing import Any, Final

from redis.exceptions import MovedError

from queueing.core.models import QueueRef
from queueing.storage.contract import UNKNOWN
from queueing.storage.redis.errors import FAILURES, ResponseError
from queueing.storage.redis.keys import Namespace, QueueKeys
from queueing.storage.redis.server import Server
from queueing.storage.redis.servers import Servers

logger = logging.getLogger(__name__)

Hear = Callable[[QueueRef, int], None]

FOLLOW_SECONDS: Final = 1.0
"""How long who wants to follow waits for the server to confirm it."""

QUIET_SECONDS: Final = 5.0
"""After so long without a word a connection is tried out, and given up after as long again."""

PROBE_SECONDS: Final = 1.0
"""The same, once other connections were lost."""

PAUSES: Final = (0.02, 0.1, 0.5, 1.0)
"""Seconds before a lost connection is made again; the last for all that follow."""


class Followed:
    """A queue that somebody here waits at."""

    def __init__(self, queue: QueueRef, partition: int) -> None:
        self.queue = queue
        self.partition = partition
        self.line: Line | None = None  # where it was asked for
        self.confirmed = False
        self.refused = False
        self.missed = False  # something may have been, while it was not heard


class Line:
    """A connection on which channels of one server are heard."""

    def __init__(self, server: Server) -> None:
        self.name = server.name
        # Not one of the pool: it is in use for as long as anybody waits.
        self.connection = server.pool.connection_class(**server.pool.connection_kwargs)
        self.connection.connect()
        self.channels: set[bytes] = set()
        self.heard_at = time.monotonic()
        self.asked_at: float | None = None  # whether anybody is there

    @property
    def socket(self) -> Any:
        # redis-py shows its sockets to nobody, and waits on one only.
        return self.connection._sock


class Announcements:
    """Both directions, for one open store. Threads share it, and it survives a fork."""

    def __init__(self, names: Namespace, servers: Servers) -> None:
        self._names = names
        self._servers = servers
        self._sharded = servers.partitions > 1
        self._command = b"SPUBLISH" if self._sharded else b"PUBLISH"
        self._hear: Hear | None = None
        self._begin()
        servers.reconnects.tell(self._probe)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._origin = token_hex(6).encode()
        self._changed = threading.Condition()
        self._followed: dict[bytes, Followed] = {}
        self._ear: Ear | None = None

    def terms(self, keys: QueueKeys) -> tuple[bytes, bytes, bytes]:
        """What a script is handed to announce what it did: command, channel, by whom."""
        if self._pid != os.getpid():
            self._begin()
        return self._command, keys.channel, self._origin

    def listen(self, hear: Hear) -> None:
        self._hear = hear

    def follow(self, queue: QueueRef) -> bool:
        """Whether it is heard from now on."""
        if self._pid != os.getpid():
            self._begin()  # the thread was left behind by a fork
        keys = self._names.queue(queue)
        name = keys.channel
        with self._changed:
            followed = self._followed.get(name)
            if followed is None:
                followed = self._followed[name] = Followed(queue, keys.partition)
            if followed.confirmed:
                return True
            if self._ear is None:
                self._ear = Ear(self._servers, self._sharded, self._changed, self._followed, self)
                self._ear.start()
            followed.refused = False
            self._ear.wake()
            self._changed.wait_for(
                lambda: followed.confirmed or followed.refused, timeout=FOLLOW_SECONDS
            )
            known = (
                followed.confirmed or followed.missed
            )  # somebody relies on it, and it comes back
            if not known and self._followed.get(name) is followed:
                del self._followed[name]
            return followed.confirmed

    def unfollow(self, queue: QueueRef) -> None:
        with self._changed:
            self._followed.pop(self._names.queue(queue).channel, None)
            if self._ear is not None:
                self._ear.wake()

    def hear(self, name: bytes, origin: bytes, counts: tuple[int, ...]) -> None:
        followed = self._followed.get(name)
        if followed is not None and origin != self._origin and self._hear is not None:
            for count in counts:
                self._hear(followed.queue, count)

    def close(self) -> None:
        with self._changed:
            self._followed.clear()
            ear, self._ear = self._ear, None
        if ear is not None and self._pid == os.getpid():
            ear.stop()

    def _probe(self) -> None:
        ear = self._ear
        if ear is not None and self._pid == os.getpid():
            ear.probe()


class Ear:
    """The thread that hears. Only it touches the connections."""

    def __init__(
        self,
        servers: Servers,
        sharded: bool,
        changed: threading.Condition,
        followed: dict[bytes, Followed],
        owner: Announcements,
    ) -> None:
        self._servers = servers
        self._prefix = "S" if sharded else ""
        self._changed = changed
        self._followed = followed
        self._owner = owner
        self._lines: dict[str, Line] = {}
        self._failures = 0
        self._not_before = 0.0
        self._probing = False
        self._complained = False
        self._closing = False
        self._waking, self._woken = socket.socketpair()
        self._waking.setblocking(False)
        self._woken.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="announcements", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        try:
            self._waking.send(b"x")
        except BlockingIOError:
            pass  # it is full: it wakes anyway
        except OSError:
            pass  # closed meanwhile

    def probe(self) -> None:
        self._probing = True
        self.wake()

    def stop(self) -> None:
        self._closing = True
        self.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(2 * PROBE_SECONDS)

    def _run(self) -> None:
        try:
            while not self._closing:
                self._see_to_subscriptions()
                self._listen()
        finally:
            for line in list(self._lines.values()):
                self._drop(line)
            self._waking.close()
            self._woken.close()

    def _see_to_subscriptions(self) -> None:
        """Ask for what is followed and not asked for yet; give up what is not followed any more."""
        with self._changed:
            wanted = dict(self._followed)
        for name, followed in wanted.items():
            server = self._servers.holding(followed.partition)
            line = followed.line
            if line is not None and (server is None or line.name == server.name):
                continue
            if line is not None:  # another node holds it now
                self._unsubscribe(line, name)
                self._miss(followed)
            if server is None:
                self._refuse([followed])
                self._servers.lost(PROBE_SECONDS)
                continue
            self._subscribe(server, name, followed)
        for line in list(self._lines.values()):
            for name in line.channels - wanted.keys():
                self._unsubscribe(line, name)
            if not line.channels:
                self._drop(line)

    def _subscribe(self, server: Server, name: bytes, followed: Followed) -> None:
        try:
            line = self._lines.get(server.name)
            if line is None:
                if time.monotonic() < self._not_before:
                    self._refuse([followed])
                    return
                line = self._lines[server.name] = Line(server)
            line.connection.send_command(f"{self._prefix}SUBSCRIBE", name)
        except FAILURES as error:
            self._failed(server.name, error)
            self._refuse([followed])
            return
        line.channels.add(name)
        followed.line = line

    def _unsubscribe(self, line: Line, name: bytes) -> None:
        line.channels.discard(name)
        try:
            line.connection.send_command(f"{self._prefix}UNSUBSCRIBE", name)
        except FAILURES as error:
            self._failed(line.name, error)

    def _listen(self) -> None:
        """Until something is said, or somebody wants something."""
        lines = list(self._lines.values())
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            for line in lines:
                if line.socket is not None:
                    selector.register(line.socket, selectors.EVENT_READ)
            selector.select(self._patience(lines))
        try:
            while self._woken.recv(4096):
                pass
        except BlockingIOError:
            pass
        probing, self._probing = self._probing, False
        for line in lines:
            self._read(line, probing)

    def _patience(self, lines: list[Line]) -> float | None:
        if not self._followed:
            return None
        if any(followed.line is None for followed in list(self._followed.values())):
            return max(0.005, self._not_before - time.monotonic())
        asked = any(line.asked_at is not None for line in lines)
        return PROBE_SECONDS if asked else QUIET_SECONDS

    def _read(self, line: Line, probing: bool) -> None:
        try:
            while line.connection.can_read(0):
                try:
                    said = line.connection.read_response(timeout=PROBE_SECONDS)
                except MovedError as error:
                    self._servers.moved(error)
                    self._forget(line)
                except ResponseError as error:
                    self._refused(line, error)
                else:
                    self._heard(line, said)
                line.heard_at, line.asked_at = time.monotonic(), None
            now = time.monotonic()
            if line.asked_at is None:
                if probing or now - line.heard_at > QUIET_SECONDS:
                    line.connection.send_command("PING")
                    line.asked_at = now
            elif now - line.asked_at > PROBE_SECONDS:
                raise ConnectionError("it has fallen silent")
        except FAILURES as error:
            self._failed(line.name, error)

    def _heard(self, line: Line, said: Any) -> None:
        if not isinstance(said, list) or len(said) < 3:
            return  # an answer to PING
        kind, name, what = said[0].removeprefix(b"s") if self._prefix else said[0], said[1], said[2]
        if kind == b"message":
            origin, free, delayed = what.split(b":")
            counts = ((int(free),) if free != b"0" else ()) + ((0,) if delayed != b"0" else ())
            self._owner.hear(name, origin, counts)
        elif said[0].endswith(b"unsubscribe"):
            followed = self._followed.get(name)
            if followed is not None and followed.line is line and name in line.channels:
                line.channels.discard(name)  # its slot has moved to another node
                self._miss(followed)
        else:
            self._confirm(name)

    def _confirm(self, name: bytes) -> None:
        self._failures = 0
        with self._changed:
            followed = self._followed.get(name)
            if followed is None:
                return
            missed, followed.missed = followed.missed, False
            followed.confirmed, followed.refused = True, False
            self._changed.notify_all()
        if missed:
            self._owner.hear(name, b"", (UNKNOWN,))

    def _refused(self, line: Line, error: Exception) -> None:
        if not self._complained:
            logger.warning("%s: announcements cannot be heard: %s", line.name, error)
        self._complained = True
        self._refuse([it for it in list(self._followed.values()) if not it.confirmed])

    def _refuse(self, these: list[Followed]) -> None:
        with self._changed:
            for followed in these:
                followed.refused = not followed.confirmed
            self._changed.notify_all()

    def _miss(self, followed: Followed) -> None:
        with self._changed:
            followed.missed = followed.missed or followed.confirmed
            followed.confirmed, followed.line = False, None

    def _forget(self, line: Line) -> None:
        """Ask again for what this line has not confirmed."""
        for name, followed in list(self._followed.items()):
            if followed.line is line and not followed.confirmed:
                line.channels.discard(name)
                followed.line = None

    def _failed(self, name: str, error: Exception) -> None:
        pause = PAUSES[min(self._failures, len(PAUSES) - 1)]
        self._failures += 1
        self._not_before = time.monotonic() + pause
        logger.debug("%s: announcements are not heard for a while: %s", name, error)
        line = self._lines.get(name)
        if line is not None:
            self._drop(line)
        if self._prefix and not self._closing:
            self._servers.lost(PROBE_SECONDS)

    def _drop(self, line: Line) -> None:
        self._lines.pop(line.name, None)
        for followed in list(self._followed.values()):
            if followed.line is line:
                self._miss(followed)
        line.connection.disconnect()
