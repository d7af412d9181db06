"""Requests to Redis and back: one round trip each, tried again where that is safe, within a time.

Every step that this driver sends may be sent twice: it changes nothing the second time, because of
what it left (a token, a claim, a record of what was popped), or because it says the same as before.
So a request whose answer got lost is sent again until it is answered or its time is up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, NoReturn

from redis.exceptions import AskError, MaxConnectionsError, MovedError

from queueing.core.errors import StorageUnavailable
from queueing.storage.redis.errors import FAILURES, ResponseError, Verdict, code, verdict
from queueing.storage.redis.outages import Refusals
from queueing.storage.redis.scripts import Script
from queueing.storage.redis.server import Server
from queueing.storage.redis.servers import Servers

pack_command: Callable[[Any], bytes] | None = None
try:
    from hiredis import pack_command
except ImportError:
    pass  # redis-py does it too, and takes several times as long

Command = tuple[Any, ...]

PAUSES: Final = (0.0, 0.02, 0.05, 0.1, 0.2)
"""Seconds before the second attempt, the third, ...; the last for all that follow."""

LEAST_PART: Final = 0.1
"""Part of a request's time that must be left for another attempt: so long may connecting take."""

TOUCHED_MILLISECONDS: Final = 30 * 86_400_000
"""How long the key is kept that is written to have something to wait for; each time anew."""

LOOK_SECONDS: Final = 1.0
"""How long somebody who looks whether a server is back waits for its answer."""


class NotReplicated(Exception):
    """The master did it, and too few replicas said that they have it too."""


class Clock:
    """The time of one request, and how it is spent on attempts."""

    def __init__(self, seconds: float) -> None:
        self.attempts = 0
        self._end = time.monotonic() + seconds
        self._least = seconds * LEAST_PART

    def attempt(self) -> None:
        self.attempts += 1

    def left(self) -> float:
        return max(0.001, self._end - time.monotonic())

    def another(self) -> bool:
        """Wait a moment before the next attempt; False if there is no time for one."""
        pause = PAUSES[min(self.attempts, len(PAUSES)) - 1]
        if time.monotonic() + pause + self._least > self._end:
            return False
        time.sleep(pause)
        return True


class Policy(NamedTuple):
    """What all requests to a store have in common."""

    servers: Servers
    refusals: Refusals
    timeout_seconds: float
    answer_seconds: float  # after which a request is sent again
    min_replicas: int


class Request:
    """One request, on its way until it is answered, refused, or out of time.

    `script`: the command is an EVALSHA of it. `touch`: answered when `min_replicas` have all that it
    wrote and saw. `WAIT` is for a connection's own writes (in older versions for all that the
    server was told until the connection's last command), and one that saw what another connection
    wrote has none of its own. So a key of this name, in the same slot, is written behind the command.
    """

    def __init__(
        self,
        policy: Policy,
        partition: int,
        command: Command,
        script: Script | None = None,
        touch: bytes | None = None,
        seconds: float | None = None,
    ) -> None:
        self._policy = policy
        self._servers = policy.servers
        self._partition = partition
        self._command = command
        self._script = script
        self._touch = touch
        self._touch_made = False
        self._clock = Clock(policy.timeout_seconds if seconds is None else seconds)
        self._asking: Server | None = None  # where a slot is just moving to
        self._outage = policy.servers.unknown
        self._looks = False  # whether the server is back, see Outage.enter

    def answer(self) -> Any:
        """:raises StorageUnavailable:"""
        while True:
            self._clock.attempt()
            try:
                answer = self._attempt(self._server())
            except NotReplicated as error:
                self._outage.over(looked=self._looks)
                self._policy.refusals.log("Redis", "WAIT", str(error))
                self._again(error)
            except MaxConnectionsError as error:
                # Nothing was sent: all connections are in use by other threads.
                self._outage.leave(looked=self._looks)
                self._again(error)
            except FAILURES as error:
                self._failed(error)
                self._again(error)
            else:
                self._outage.over(looked=self._looks)
                return answer

    def _server(self) -> Server:
        """Whom to ask.

        :raises StorageUnavailable: it has been away for long
        """
        server = self._asking or self._servers.holding(self._partition)
        self._outage = server.outage if server else self._servers.unknown
        self._looks = self._outage.enter()
        if server is None:
            reason = self._servers.lost(self._clock.left())
            server = self._servers.holding(self._partition)
            if server is None:
                raise ConnectionError(reason or "nobody holds the slot")
            self._outage.over(looked=self._looks)
            self._outage = server.outage
            self._looks = self._outage.enter()
        return server

    def _attempt(self, server: Server) -> Any:
        """Send it once; the answer, or the error that Redis gave instead."""
        seconds = LOOK_SECONDS if self._looks else self._policy.answer_seconds
        seconds = min(seconds, self._clock.left())
        asking: list[Command] = [] if self._asking is None else [("ASKING",)]
        commands = [*asking, self._command]
        if self._touch is not None:
            # A full server refuses SET, but not this: consumers may drain it.
            commands += (*asking, ("PEXPIRE", self._touch, TOUCHED_MILLISECONDS))
            commands.append(("WAIT", self._policy.min_replicas, max(1, int(seconds * 800))))
        answers = exchange(server, commands, seconds)
        answer = answers[len(asking)]
        if isinstance(answer, Exception):
            raise answer
        if self._touch is not None:
            touched, reached = answers[-2:]
            if touched == 0 and not asking and not self._touch_made:
                # The first time ever. All of it again: the master may be another by now.
                self._touch_made = True
                exchange(server, [("SET", self._touch, b"", "PX", TOUCHED_MILLISECONDS)], seconds)
                return self._attempt(server)
            self._check_replicated(touched, reached)
        return answer

    def _check_replicated(self, touched: Any, reached: Any) -> None:
        if touched != 1:
            raise NotReplicated(f"nothing could be written to wait for ({touched})")
        replicas = self._policy.min_replicas
        if not isinstance(reached, int) or reached < replicas:
            raise NotReplicated(f"{reached} of {replicas} replicas have what was written or seen")

    def _failed(self, error: Exception) -> None:
        """See to it that another attempt makes sense.

        :raises StorageUnavailable: it does not
        """
        what = verdict(error)
        self._asking = None
        if what in (Verdict.AWAY, Verdict.FIND_MASTER):
            self._away(error, what)
            return
        self._outage.over(looked=self._looks)
        if what is Verdict.MOVED and isinstance(error, MovedError):
            if not self._servers.moved(error):
                self._refused(error)
        elif what is Verdict.ASK and isinstance(error, AskError):
            self._asking = self._servers.asked(error)
            if self._asking is None:
                self._servers.lost(self._clock.left())
        elif what is Verdict.SEND_SOURCE and self._script is not None:
            self._command = ("EVAL", self._script.source, *self._command[2:])
        elif what is not Verdict.WAIT:
            self._refused(error)

    def _away(self, error: Exception, what: Verdict) -> None:
        # A first failure is often a connection that was cut: nothing to speak of.
        first = self._clock.attempts == 1 and not self._looks
        if not first:
            long = self._outage.failed(str(error), looked=self._looks)
            if self._looks or long:
                raise StorageUnavailable(f"The store is away: {error}") from error
        if not first or what is Verdict.FIND_MASTER:
            self._servers.lost(self._clock.left())

    def _refused(self, error: Exception) -> NoReturn:
        self._policy.refusals.log("Redis", code(error), str(error))
        raise StorageUnavailable(f"The store refuses: {code(error)}") from error

    def _again(self, error: Exception) -> None:
        if not self._clock.another():
            raise StorageUnavailable(f"The store did not do it in time: {error}") from error


def exchange(server: Server, commands: Sequence[Command], seconds: float) -> list[Any]:
    """Send commands on one connection and read their answers; errors that Redis gives are answers.

    :raises RedisError: no connection, or no answer in time
    """
    generation = server.generation
    connection = server.connection()
    try:
        connection.send_packed_command(_packed(connection, commands))
        answers: list[Any] = []
        for _ in commands:
            try:
                answers.append(connection.read_response(timeout=seconds))
            except ResponseError as error:
                answers.append(error)
    except BaseException:
        server.discard(connection)
        raise
    server.keep(connection, generation)
    return answers


def _packed(connection: Any, commands: Sequence[Command]) -> list[bytes]:
    if pack_command is None:
        packed: list[bytes] = connection.pack_commands(commands)
        return packed
    return [b"".join(map(pack_command, commands))]
