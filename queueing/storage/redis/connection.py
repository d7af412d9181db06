"""Commands to Redis and back: one round trip each, tried again where that is safe, within a time.

Every step that this driver sends may be sent twice: it changes nothing the second time, because of
what it left (a token, a claim, a record of what was popped), or because it says the same as before.
So a request whose answer got lost is sent again until it is answered or its time is up.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import AskError, MaxConnectionsError, MovedError, NoScriptError

from queueing.core.errors import StorageUnavailable
from queueing.storage.redis.errors import FAILURES, ResponseError, Verdict, code, verdict
from queueing.storage.redis.keys import Namespace, QueueKeys
from queueing.storage.redis.outages import Outage, Refusals
from queueing.storage.redis.scripts import ALL, Script
from queueing.storage.redis.servers import Server, Servers

Command = tuple[Any, ...]

PAUSES: Final = (0.0, 0.02, 0.05, 0.1, 0.2)
"""Seconds before the second attempt, the third, ...; the last for all that follow."""

LOOK_SECONDS: Final = 1.0
"""How long somebody who looks whether a server is back waits for its answer."""

WRITTEN_MILLISECONDS: Final = 60_000


class NotReplicated(Exception):
    """The master did it, and too few replicas said that they have it too."""


class Connection:
    """A store's servers, as something to run scripts on. Threads share it."""

    def __init__(
        self,
        servers: Servers,
        names: Namespace,
        *,
        timeout_seconds: float,
        answer_seconds: float,
        min_replicas: int,
    ) -> None:
        self.names = names
        self._servers = servers
        self._timeout_seconds = timeout_seconds
        self._answer_seconds = answer_seconds
        self._min_replicas = min_replicas
        self._refusals = Refusals()

    def read(
        self, script: Script, queue: QueueKeys, *arguments: Any, keys: Sequence[bytes] = ()
    ) -> Any:
        """Run a script that changes nothing that counts."""
        return self._run(script, queue, arguments, keys, 0)

    def write(
        self, script: Script, queue: QueueKeys, *arguments: Any, keys: Sequence[bytes] = ()
    ) -> Any:
        """Run a script whose changes are to be kept: by `min_replicas` too, when it is answered."""
        return self._run(script, queue, arguments, keys, self._min_replicas)

    def ask(self, partition: int, *command: Any) -> Any:
        """Send one plain command that changes nothing."""
        return self._attempts(partition, command, None, 0)

    def ask_each(self, asked: Sequence[tuple[int, Command]]) -> list[Any]:
        """Send plain commands that change nothing: one round trip to each server that is asked."""
        answers: list[Any] = [None] * len(asked)
        for server, wanted in self._by_server(asked):
            try:
                commands = [asked[index][1] for index in wanted]
                found = exchange(server, commands, self._answer_seconds) if server else []
            except FAILURES:
                found = []
            for index, answer in zip(wanted, found, strict=False):
                answers[index] = answer
        for index, (partition, command) in enumerate(asked):
            # What did not come at once is asked for singly, with all patience.
            if answers[index] is None or isinstance(answers[index], Exception):
                answers[index] = self.ask(partition, *command)
        return answers

    def load_scripts(self) -> None:
        """Tell every server all scripts, as far as they answer; it is only faster for the first."""
        commands: list[Command] = [("SCRIPT", "LOAD", script.source) for script in ALL]
        for server in self.every_server():
            try:
                exchange(server, commands, self._answer_seconds)
            except FAILURES:
                continue

    def every_server(self) -> list[Server]:
        """The servers that hold a partition, as far as they are known."""
        found = {}
        for partition in range(self.names.partitions):
            server = self._servers.holding(partition)
            if server is not None:
                found[server.name] = server
        return list(found.values())

    def close(self) -> None:
        self._servers.close()

    def _run(
        self,
        script: Script,
        queue: QueueKeys,
        arguments: Sequence[Any],
        keys: Sequence[bytes],
        replicas: int,
    ) -> Any:
        number = len(queue.all) + len(keys)
        command = ("EVALSHA", script.sha, number, *queue.all, *keys, *arguments)
        return self._attempts(queue.partition, command, script, replicas)

    def _attempts(
        self, partition: int, command: Command, script: Script | None, replicas: int
    ) -> Any:
        clock = Clock(self._timeout_seconds)
        redirected: Server | None = None
        while True:
            clock.attempt()
            looks = False
            outage = self._servers.unknown
            try:
                server = redirected or self._servers.holding(partition)
                if server is None:
                    looks = outage.enter()
                    reason = self._servers.lost(clock.left())
                    server = self._servers.holding(partition)
                    if server is None:
                        raise ConnectionError(reason or "nobody holds the slot")
                    outage.over(looked=looks)
                outage = server.outage
                looks = outage.enter()
                patience = LOOK_SECONDS if looks else self._answer_seconds
                answer = self._exchange(
                    server,
                    command,
                    partition,
                    asking=redirected is not None,
                    replicas=replicas,
                    seconds=min(patience, clock.left()),
                )
            except NotReplicated as error:
                outage.over(looked=looks)
                self._refusals.log(self._servers_name(partition), "WAIT", str(error))
                self._pause(clock, error)
            except MaxConnectionsError as error:
                # Nothing was sent: all connections are in use by other threads.
                outage.leave(looked=looks)
                self._pause(clock, error)
            except FAILURES as error:
                redirected = None
                what = verdict(error)
                if what in (Verdict.AWAY, Verdict.FIND_MASTER):
                    self._away(clock, outage, error, looks=looks)
                    continue
                outage.over(looked=looks)
                if isinstance(error, MovedError) and self._servers.moved(error):
                    pass
                elif isinstance(error, AskError):
                    redirected = self._servers.asked(error)
                    if redirected is None:
                        self._servers.lost(clock.left())
                elif isinstance(error, NoScriptError) and script is not None:
                    command = ("EVAL", script.source, *command[2:])
                elif what is not Verdict.WAIT:
                    self._refusals.log(self._servers_name(partition), code(error), str(error))
                    raise StorageUnavailable(f"The store refuses: {code(error)}") from error
                self._pause(clock, error)
            else:
                outage.over(looked=looks)
                return answer

    def _exchange(
        self,
        server: Server,
        command: Command,
        partition: int,
        *,
        asking: bool,
        replicas: int,
        seconds: float,
    ) -> Any:
        """One attempt; the answer, or the error that Redis gave instead."""
        commands = [command]
        if asking:
            commands.insert(0, ("ASKING",))
        if replicas:
            commands.append(("SET", self.names.written(partition), b"", "PX", WRITTEN_MILLISECONDS))
            commands.append(("WAIT", replicas, max(1, int(seconds * 900))))
        answers = exchange(server, commands, seconds)
        answer = answers[1] if asking else answers[0]
        if isinstance(answer, Exception):
            raise answer
        if replicas:
            reached = answers[-1]
            if not isinstance(reached, int) or reached < replicas:
                raise NotReplicated(f"{reached} of {replicas} replicas have what was written")
        return answer

    def _away(self, clock: Clock, outage: Outage, error: Exception, *, looks: bool) -> None:
        """The server did not answer, or serves nobody: try again, as long as that makes sense."""
        if clock.attempts > 1 or looks:
            long = outage.failed(str(error), looked=looks)
            if looks or long:
                raise StorageUnavailable(f"The store is away: {error}") from error
            self._servers.lost(clock.left())
        elif verdict(error) is Verdict.FIND_MASTER:
            self._servers.lost(clock.left())
        self._pause(clock, error)

    def _pause(self, clock: Clock, error: Exception) -> None:
        if not clock.another():
            raise StorageUnavailable(f"The store did not do it in time: {error}") from error

    def _servers_name(self, partition: int) -> str:
        server = self._servers.holding(partition)
        return server.name if server else "Redis"

    def _by_server(
        self, asked: Sequence[tuple[int, Command]]
    ) -> list[tuple[Server | None, list[int]]]:
        groups: dict[str, tuple[Server | None, list[int]]] = {}
        for index, (partition, _) in enumerate(asked):
            server = self._servers.holding(partition)
            groups.setdefault(server.name if server else "", (server, []))[1].append(index)
        return list(groups.values())


class Clock:
    """The time of one request, and how it is spent on attempts."""

    def __init__(self, seconds: float) -> None:
        self.attempts = 0
        self._end = time.monotonic() + seconds
        self._started = 0.0

    def left(self) -> float:
        return max(0.001, self._end - time.monotonic())

    def attempt(self) -> None:
        self.attempts += 1
        self._started = time.monotonic()

    def another(self) -> bool:
        """Wait a moment before the next attempt; False if there is no time for one like the last."""
        now = time.monotonic()
        pause = PAUSES[min(self.attempts, len(PAUSES)) - 1]
        if now + pause + (now - self._started) > self._end:
            return False
        time.sleep(pause)
        return True


def exchange(server: Server, commands: Sequence[Command], seconds: float) -> list[Any]:
    """Send commands on one connection and read their answers; errors that Redis gives are answers.

    :raises RedisError: no connection, or no answer in time
    """
    connection = server.pool.get_connection()
    try:
        connection.send_packed_command(connection.pack_commands(commands))
        answers: list[Any] = []
        for _ in commands:
            try:
                answers.append(connection.read_response(timeout=seconds))
            except ResponseError as error:
                answers.append(error)
        return answers
    except BaseException:
        connection.disconnect()  # an answer that comes late must not be taken for the next one's
        raise
    finally:
        server.pool.release(connection)
