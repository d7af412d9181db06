"""Queues and their metadata."""

from __future__ import annotations

from typing import Final

from queueing.core.errors import MetadataChanged, QueueNotFound
from queueing.core.models import Metadata, QueueEntry, QueueRef, metadata_version, request_token
from queueing.storage.contract import QueueStore
from queueing.storage.redis.connection import Connection
from queueing.storage.redis.keys import pack_id, text
from queueing.storage.redis.scripts import CREATE, DELETE_QUEUE, REPLACE

FORGOTTEN_MILLISECONDS: Final = 86_400_000
"""How long sequence and fence of a deleted queue are kept. Both are at least the time in
microseconds, so they grow without it, but for a clock that was set back."""


class RedisQueues(QueueStore):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._names = connection.names

    def create(self, queue: QueueRef, document: bytes, *, token: str, now: float) -> bool:
        keys = self._names.queue(queue)
        arguments = (pack_id(token), keys.name, document, metadata_version(document))
        made = self._connection.run(CREATE, keys, *arguments, keys=[keys.tokens(token)])
        return bool(made)

    def fetch(self, queue: QueueRef) -> Metadata | None:
        keys = self._names.queue(queue)
        return _metadata(self._connection.look(keys.partition, "HMGET", keys.all[0], "d", "v"))

    def replace(
        self, queue: QueueRef, document: bytes, *, expected: str, token: str, now: float
    ) -> None:
        keys = self._names.queue(queue)
        arguments = (pack_id(token), expected, document, metadata_version(document))
        answer = self._connection.run(REPLACE, keys, *arguments, keys=[keys.tokens(token)])
        if answer == b"missing":
            raise QueueNotFound(f"There is no queue {queue.name!r}.")
        if answer == b"changed":
            raise MetadataChanged(f"The metadata of queue {queue.name!r} was changed meanwhile.")

    def delete(self, queue: QueueRef, *, now: float) -> None:
        keys = self._names.queue(queue)
        token = request_token()  # of our own: the connection may send this twice
        self._connection.run(
            DELETE_QUEUE,
            keys,
            pack_id(token),
            keys.name,
            FORGOTTEN_MILLISECONDS,
            keys=[keys.tokens(token), keys.own(b"ended")],
        )

    def page(self, project: str, *, after: str, limit: int) -> list[QueueEntry]:
        """One question to each partition for names, one for their metadata.

        A queue that is deleted between the two is left out, and the page is filled up behind it.
        """
        entries: list[QueueEntry] = []
        while len(entries) < limit:
            wanted = limit - len(entries)
            names = self._following(project, after, wanted)
            entries += self._existing(project, names)
            if len(names) < wanted:
                break
            after = names[-1]
        return entries

    def count(self, project: str) -> int:
        partitions = range(self._names.partitions)
        asked = [(at, ("ZCARD", self._names.names(at, project))) for at in partitions]
        return sum(self._connection.ask_each(asked))

    def _following(self, project: str, after: str, limit: int) -> list[str]:
        start = b"(" + after.encode("utf-8", "surrogatepass")
        asked = []
        for partition in range(self._names.partitions):
            key = self._names.names(partition, project)
            asked.append((partition, ("ZRANGEBYLEX", key, start, "+", "LIMIT", 0, limit)))
        found = sorted(name for names in self._connection.ask_each(asked) for name in names)
        return [text(name) for name in found[:limit]]

    def _existing(self, project: str, names: list[str]) -> list[QueueEntry]:
        asked = []
        for name in names:
            keys = self._names.queue(QueueRef(project, name))
            asked.append((keys.partition, ("HMGET", keys.all[0], "d", "v")))
        found = map(_metadata, self._connection.ask_each(asked))
        return [QueueEntry(name, it) for name, it in zip(names, found, strict=True) if it]


def _metadata(stored: list[bytes | None]) -> Metadata | None:
    document, version = stored
    if document is None or version is None:
        return None
    return Metadata(document, version.decode())
