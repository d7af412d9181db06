"""A store's servers, as something to run scripts on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from redis.exceptions import MaxConnectionsError

from queueing.core.errors import StorageUnavailable
from queueing.storage.redis.announcing import Announcements
from queueing.storage.redis.errors import FAILURES, Verdict, verdict
from queueing.storage.redis.keys import Namespace, QueueKeys
from queueing.storage.redis.requests import LOOK_SECONDS, Command, Policy, Request, exchange
from queueing.storage.redis.scripts import ALL, Script
from queueing.storage.redis.server import Server


class NotAnswered:
    """In the place of an answer that did not come."""


class Connection:
    """Threads share it, and it survives a fork."""

    def __init__(self, names: Namespace, policy: Policy) -> None:
        self.names = names
        self._policy = policy
        self._servers = policy.servers

    @property
    def timeout_seconds(self) -> float:
        """Of one request."""
        return self._policy.timeout_seconds

    def run(
        self, script: Script, queue: QueueKeys, *arguments: Any, keys: Sequence[bytes] = ()
    ) -> Any:
        """Run a script. `min_replicas` have all that it changed and saw, when it is answered: else a
        reader could act on what a fail-over takes back."""
        all_keys = queue.all
        handed = [all_keys[place] for place in script.keys]
        number = len(handed) + len(keys)
        command = ("EVALSHA", script.sha, number, *handed, *keys, *arguments)
        return self._request(queue.partition, command, script).answer()

    def look(self, partition: int, *command: Any) -> Any:
        """Send one plain command that changes nothing; for its answer the same holds."""
        return self._request(partition, command).answer()

    def rounds(self) -> Iterator[None]:
        """Again and again, for a step that says that it has more to sweep or to bring back first.

        :raises StorageUnavailable: time is up; the next request goes on where this one ended
        """
        end = time.monotonic() + self._policy.timeout_seconds
        while True:
            yield
            if time.monotonic() > end:
                raise StorageUnavailable("The store has to sweep very much at once. Try again.")

    def ask(self, partition: int, *command: Any) -> Any:
        """Send one plain command that changes nothing, and wait for no replica."""
        return Request(self._policy, partition, command).answer()

    def ask_each(self, asked: Sequence[tuple[int, Command]]) -> list[Any]:
        """The answers to plain commands that change nothing: one round trip to each server.

        :raises StorageUnavailable: one of them was not answered, in the time of one request
        """
        end = time.monotonic() + self._policy.timeout_seconds
        return self._completed(asked, self._ask_each_once(asked), end)

    def ask_those_there(self, asked: Sequence[tuple[int, Command]]) -> list[Any]:
        """The same, without those commands whose servers are away.

        :raises StorageUnavailable: all are
        """
        end = time.monotonic() + self._policy.timeout_seconds
        answers = self._ask_each_once(asked)
        found = [answer for answer in answers if not isinstance(answer, NotAnswered)]
        return found or self._completed(asked, answers, end)

    def ask_servers(self, commands: Sequence[Command]) -> tuple[list[list[Any]], int]:
        """The answers of every server that is there, and how many are not."""
        servers = self.every_server()
        end = time.monotonic() + self._policy.timeout_seconds
        answers = [self._ask_once(server, commands, end) for server in servers]
        found = [answer for answer in answers if answer is not None]
        return found, len(servers) - len(found)

    def load_scripts(self) -> None:
        """Tell every server all scripts, as far as they answer; it is only faster for the first."""
        self.ask_servers([("SCRIPT", "LOAD", script.source) for script in ALL])

    def every_server(self) -> list[Server]:
        """The servers that hold a partition, as far as they are known."""
        found = {}
        for partition in range(self.names.partitions):
            server = self._servers.holding(partition)
            if server is not None:
                found[server.name] = server
        return list(found.values())

    def tell_reconnects(self, callback: Callable[[], None]) -> None:
        """Call it when a server is reached again, or another one in its place."""
        self._servers.reconnects.tell(callback)

    def announcements(self) -> Announcements:
        return Announcements(self.names, self._servers)

    def close(self) -> None:
        self._servers.close()

    def _request(self, partition: int, command: Command, script: Script | None = None) -> Request:
        touch = self.names.written(partition) if self._policy.min_replicas else None
        return Request(self._policy, partition, command, script, touch)

    def _ask_each_once(self, asked: Sequence[tuple[int, Command]]) -> list[Any]:
        end = time.monotonic() + self._policy.timeout_seconds
        answers: list[Any] = [NotAnswered()] * len(asked)
        for server, wanted in self._by_server(asked):
            commands = [asked[index][1] for index in wanted]
            found = None if server is None else self._ask_once(server, commands, end)
            for index, answer in zip(wanted, found or (), strict=False):
                if not isinstance(answer, Exception):
                    answers[index] = answer
        return answers

    def _completed(
        self, asked: Sequence[tuple[int, Command]], answers: list[Any], end: float
    ) -> list[Any]:
        """What did not come at once is asked for singly, with all patience that is left."""
        for index, (partition, command) in enumerate(asked):
            if isinstance(answers[index], NotAnswered):
                left = max(0.0, end - time.monotonic())
                answers[index] = Request(self._policy, partition, command, seconds=left).answer()
        return answers

    def _ask_once(
        self, server: Server, commands: Sequence[Command], end: float
    ) -> list[Any] | None:
        """None: it is away, or known to be. Errors that Redis gives are answers."""
        try:
            looks = server.outage.enter()
        except StorageUnavailable:
            return None
        seconds = LOOK_SECONDS if looks else self._policy.answer_seconds
        seconds = max(0.001, min(seconds, end - time.monotonic()))
        try:
            answers = exchange(server, commands, seconds)
        except MaxConnectionsError:
            server.outage.leave(looked=looks)
            return None
        except FAILURES as error:
            if verdict(error) is Verdict.AWAY:
                server.outage.failed(str(error), looked=looks)
            else:
                server.outage.leave(
                    looked=looks
                )  # it does not want us, and says so to who asks singly
            return None
        server.outage.over(looked=looks)
        return answers

    def _by_server(
        self, asked: Sequence[tuple[int, Command]]
    ) -> list[tuple[Server | None, list[int]]]:
        groups: dict[str, tuple[Server | None, list[int]]] = {}
        for index, (partition, _) in enumerate(asked):
            server = self._servers.holding(partition)
            groups.setdefault(server.name if server else "", (server, []))[1].append(index)
        return list(groups.values())
