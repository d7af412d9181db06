"""One client, the time that a verb has, what is sent again, and what is logged of an outage."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import pymongo
from pymongo import MongoClient, UpdateMany, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)
from pymongo.monitoring import (
    TopologyClosedEvent,
    TopologyDescriptionChangedEvent,
    TopologyListener,
    TopologyOpenedEvent,
)

from queueing.core.errors import QueueingError, StorageUnavailable
from queueing.storage.mongodb import uri
from queueing.storage.mongodb.keys import Document

logger = logging.getLogger(__name__)

COLLECTION: Final = "entries"

PAUSE_SECONDS: Final = 0.01
"""Between two sendings of a step: doubled each time, never even."""

LONGEST_PAUSE_SECONDS: Final = 0.3

REPEAT_LOG_SECONDS: Final = 60.0

BY_ID: Final = "_id_"
"""The index that every collection has. What is found by id says so: no plan needs to be tried."""

COMMAND_NOT_FOUND: Final = 59
DUPLICATE_KEY: Final = 11000

PASSING: Final = frozenset(
    {
        6,  # HostUnreachable
        7,  # HostNotFound
        43,  # CursorNotFound, after a fail-over
        63,  # StaleShardVersion
        64,  # WriteConcernFailed
        89,  # NetworkTimeout
        91,  # ShutdownInProgress
        112,  # WriteConflict
        133,  # FailedToSatisfyReadPreference
        134,  # ReadConcernMajorityNotAvailableYet
        189,  # PrimarySteppedDown
        202,  # NetworkInterfaceExceededTimeLimit
        262,  # ExceededTimeLimit
        9001,  # SocketException
        10107,  # NotWritablePrimary
        11600,  # InterruptedAtShutdown
        11602,  # InterruptedDueToReplStateChange
        13388,  # StaleConfig, while a chunk moves
        13435,  # NotPrimaryNoSecondaryOk
        13436,  # NotPrimaryOrSecondary
    }
)
"""What a server says while it is busy with itself. Whether the step was done is not known."""

Update = UpdateOne | UpdateMany

Answer = TypeVar("Answer")


class Connection:
    """Threads share it. A forked process notices, and opens its own."""

    def __init__(self, storage_uri: str, timeout_seconds: float) -> None:
        self._address = uri.read(storage_uri)
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self.when_back: Callable[[], None] = lambda: None
        self._client = self._address.client(Returns(self))
        self._documents = self._collection()
        self._left_behind: list[MongoClient[Document]] = []
        self._deadline = threading.local()
        self._away_since: float | None = None
        self._refusals: dict[object, float] = {}
        self.weaknesses = uri.weaknesses(self._client)

    @property
    def client(self) -> MongoClient[Document]:
        if os.getpid() != self._pid:
            self._reopen()
        return self._client

    @property
    def documents(self) -> Collection[Document]:
        """Where everything is."""
        if os.getpid() != self._pid:
            self._reopen()
        return self._documents

    @property
    def place(self) -> str:
        """For logs: no secrets."""
        hosts = self._client.topology_description.server_descriptions()
        return ",".join(sorted(f"{host}:{port}" for host, port in hosts)) or "no known host"

    def close(self) -> None:
        self._client.close()

    def _collection(self) -> Collection[Document]:
        return self._client[self._address.database][COLLECTION]

    def _reopen(self) -> None:
        """The parent's sockets are not ours: two processes would read each other's answers."""
        with self._lock:
            if os.getpid() != self._pid:
                self._left_behind.append(self._client)
                self._client = self._address.client(Returns(self))
                self._documents = self._collection()
                self._away_since = None
                self._pid = os.getpid()

    # The time of a verb

    @contextmanager
    def verb(self) -> Iterator[None]:
        """All that one verb sends: it has `timeout_seconds` in total.

        :raises StorageUnavailable: instead of whatever the engine or the way to it did
        """
        client = self.client
        if self._away_since and not client.topology_description.has_writable_server():
            # The client looks for it all the time: no request needs to wait in vain.
            raise StorageUnavailable("The store is away.")
        self._deadline.at = time.monotonic() + self._timeout_seconds
        try:
            with pymongo.timeout(self._timeout_seconds):
                yield
        except PyMongoError as error:
            raise self._unavailable(error) from error
        except QueueingError:
            self._answered()
            raise
        self._answered()

    @property
    def deadline(self) -> float:
        """When the time of this thread's verb is over, by the monotonic clock."""
        at: float = self._deadline.at
        return at

    def again(self, step: Callable[[], Answer]) -> Answer:
        """Do what may be done twice, until it was answered or the verb's time is over."""
        pause = PAUSE_SECONDS
        while True:
            try:
                return step()
            except PyMongoError as error:
                if not passes(error) or time.monotonic() + pause >= self._deadline.at:
                    raise
            time.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - no secret
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    # Reading, which may always be done again

    def one(
        self, match: Mapping[str, Any], projection: Mapping[str, Any] | None = None
    ) -> Document | None:
        """The document whose `_id` the filter has."""
        return self.again(lambda: self.documents.find_one(match, projection, hint=BY_ID))

    def some(
        self,
        match: Mapping[str, Any],
        projection: Mapping[str, Any] | None = None,
        *,
        sort: Sequence[tuple[str, int]] = (),
        limit: int = 0,
        hint: str | None = None,
    ) -> list[Document]:
        """One round trip, as long as the answer fits into one message."""
        index = BY_ID if "_id" in match else hint

        def step() -> list[Document]:
            return list(
                self.documents.find(
                    match,
                    projection,
                    sort=sort or None,
                    limit=limit,
                    batch_size=limit or 100_000,
                    hint=index,
                )
            )

        return self.again(step)

    # Writing

    def update(self, match: Mapping[str, Any], change: Mapping[str, Any]) -> bool:
        """Change the one document that fits, found by its `_id`; True if there is one."""
        changed = self.again(lambda: self.documents.update_one(match, change, hint=BY_ID))
        return changed.matched_count == 1

    def delete(self, match: Mapping[str, Any], hint: str | None = None) -> int:
        """Delete whatever fits; how many."""
        index = BY_ID if "_id" in match else hint
        return self.again(lambda: self.documents.delete_many(match, hint=index)).deleted_count

    def count(self, match: Mapping[str, Any], hint: str) -> int:
        return self.again(lambda: self.documents.count_documents(match, hint=hint))

    def change(self, updates: Sequence[Update]) -> tuple[int, int]:
        """Updates in order, in one command: how many documents matched, how many were new.

        :raises BulkWriteError: one was refused; those behind it may be done all the same
        """
        written = self.documents.bulk_write(updates)
        return written.matched_count, written.upserted_count

    # Outages

    def _answered(self) -> None:
        if self._away_since is None:
            return
        with self._lock:
            if self._away_since is not None:
                seconds = time.monotonic() - self._away_since
                self._away_since = None
                logger.info("MongoDB at %s is back after %.1f s", self.place, seconds)

    def _unavailable(self, error: PyMongoError) -> StorageUnavailable:
        if isinstance(error, ConnectionFailure) or error.timeout:
            with self._lock:
                if self._away_since is None:
                    self._away_since = time.monotonic()
                    logger.warning("MongoDB at %s is away: %s", self.place, _one_line(error))
            return StorageUnavailable("The store is away.")
        # It answers, and refuses: a disk that is full, a user who may not. Said once in a while.
        code = error.code if isinstance(error, OperationFailure) else type(error)
        with self._lock:
            now = time.monotonic()
            last = self._refusals.get(code)
            if last is None or now - last >= REPEAT_LOG_SECONDS:
                self._refusals[code] = now
                logger.error("MongoDB at %s refuses: %s", self.place, _one_line(error))
        return StorageUnavailable("The store refuses.")


class Returns(TopologyListener):
    """Notices when there is a server again that takes writes, also in the midst of a verb."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def description_changed(self, event: TopologyDescriptionChangedEvent) -> None:
        had = event.previous_description.has_writable_server()
        if event.new_description.has_writable_server() and not had:
            self._connection.when_back()

    def opened(self, event: TopologyOpenedEvent) -> None:
        """Nothing is known yet."""

    def closed(self, event: TopologyClosedEvent) -> None:
        """Nor any more."""


def passes(error: PyMongoError) -> bool:
    """Whether to send again: the outcome is not known, and it may go better next time."""
    if isinstance(error, (ConnectionFailure, WriteConcernError)):
        return True
    if isinstance(error, BulkWriteError):
        codes = {refused["code"] for refused in error.details["writeErrors"]}
        return codes <= PASSING
    if isinstance(error, OperationFailure):
        return error.code in PASSING or error.has_error_label("RetryableWriteError")
    return False


def _one_line(error: Exception) -> str:
    """Without what the client knows of all its servers, which makes no line."""
    text = str(error).partition(", Timeout:")[0].partition(", full error:")[0]
    return " ".join(text.split())[:300]
