"""A store's servers, as something to run scripts on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from queueing.core.errors import StorageUnavailable
from queueing.storage.redis.errors import FAILURES
from queueing.storage.redis.keys import Namespace, QueueKeys
from queueing.storage.redis.requests import Command, Policy, Request, exchange
from queueing.storage.redis.scripts import ALL, Script
from queueing.storage.redis.servers import Server

WRITTEN_MILLISECONDS: Final = 60_000


class Connection:
    """Threads share it, and it survives a fork."""

    def __init__(self, names: Namespace, policy: Policy) -> None:
        self.names = names
        self._policy = policy
        self._servers = policy.servers

    def read(
        self, script: Script, queue: QueueKeys, *arguments: Any, keys: Sequence[bytes] = ()
    ) -> Any:
        """Run a script that changes nothing that counts."""
        return self._run(script, queue, arguments, keys)

    def write(
        self, script: Script, queue: QueueKeys, *arguments: Any, keys: Sequence[bytes] = ()
    ) -> Any:
        """Run a script whose changes are to be kept: by `min_replicas` too, when it is answered."""
        touch = None
        if self._policy.min_replicas:
            touch = ("SET", self.names.written(queue.partition), b"", "PX", WRITTEN_MILLISECONDS)
        return self._run(script, queue, arguments, keys, touch)

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
        """Send one plain command that changes nothing."""
        return Request(self._policy, partition, command).answer()

    def ask_each(self, asked: Sequence[tuple[int, Command]]) -> list[Any]:
        """Send plain commands that change nothing: one round trip to each server that is asked."""
        answers: list[Any] = [None] * len(asked)
        for server, wanted in self._by_server(asked):
            try:
                commands = [asked[index][1] for index in wanted]
                found = exchange(server, commands, self._policy.answer_seconds) if server else []
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
                exchange(server, commands, self._policy.answer_seconds)
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
        touch: Command | None = None,
    ) -> Any:
        number = len(queue.all) + len(keys)
        command = ("EVALSHA", script.sha, number, *queue.all, *keys, *arguments)
        return Request(self._policy, queue.partition, command, script, touch).answer()

    def _by_server(
        self, asked: Sequence[tuple[int, Command]]
    ) -> list[tuple[Server | None, list[int]]]:
        groups: dict[str, tuple[Server | None, list[int]]] = {}
        for index, (partition, _) in enumerate(asked):
            server = self._servers.holding(partition)
            groups.setdefault(server.name if server else "", (server, []))[1].append(index)
        return list(groups.values())
