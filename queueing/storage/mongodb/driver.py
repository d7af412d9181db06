"""MongoDB 6.0 and later: one server, a replica set, or sharded by (project, queue).

No transaction is used: they need a replica set, and cost more than what follows. A verb is atomic since
one update of one document decides it, and whatever else it writes counts only through that.

*Order without holes.* P4 asks that a reader who has seen a sequence never meets a smaller one later, while
many nodes post. Three ways were weighed:

- Insert under the last sequence + 1, guarded by a unique index. One round trip less to the server, but of
  k nodes that post at once one wins and k - 1 begin again; a batch is many documents, so its completeness
  has to be told from its last one, which may be deleted; and the tail has to stay as a tombstone.
- One document per post, with its messages in it. All or none comes for nothing; but claims then work on
  elements of arrays, which no index can tell free from waiting.
- Reservations in the queue's own document. Chosen: posts never wait for each other, a message is one
  document written once, a batch costs as many round trips as one message, and the same document, which
  every reader has to see anyway, tells what of a queue counts: what was purged, and what a dead poster left.

`appending.py` says how a reservation is made, closed and taken back; `ledger.py` what the document holds. A
reader meets an open reservation in its way rarely, waits for it some milliseconds, and after a quarter of a
second takes it back (later for a batch, and for one that was taken back before): posters that died hold up
a listing once, for that long. Claims and pops pass it by: what is not
acknowledged has no place yet.

*No sequence twice.* The queue's document keeps the last one, and outlives the queue by days.

*Claims* (`claiming.py`) look, take a fence, and mark what they saw with updates that are guarded by what they
saw. Those of one process that meet at a queue are made in one step (`crowds.py`). Of two processes whoever comes
second looks again, in the order of a line that the queue's document has while it is needed: so each comes to its
turn. The claim's id is the request's token: done again it is found.

*Retries.* Every write is either guarded so that doing it again changes nothing, or (the writing of a post) is
never sent twice: if its outcome is not known it is taken back first, and if that fails it was done. So pymongo's
own retries may be on, where the server has sessions, or off. The calls of the contract are another matter:
`Storage.resends` is False, as no verb that was answered is ever done again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pymongo.errors import OperationFailure

from queueing.core.errors import SetupError
from queueing.core.models import QueueRef
from queueing.storage.contract import Announces, Storage
from queueing.storage.mongodb import indexes
from queueing.storage.mongodb.announcing import Announcements
from queueing.storage.mongodb.appending import Appending
from queueing.storage.mongodb.claims import MongoClaims
from queueing.storage.mongodb.connection import COMMAND_NOT_FOUND, Connection
from queueing.storage.mongodb.crowds import Crowds
from queueing.storage.mongodb.free import FreeMessages
from queueing.storage.mongodb.indexes import PILES
from queueing.storage.mongodb.keys import DEAD
from queueing.storage.mongodb.ledger import Ledgers
from queueing.storage.mongodb.letters import Letters
from queueing.storage.mongodb.line import Line
from queueing.storage.mongodb.messages import MongoMessages
from queueing.storage.mongodb.posting import Posting
from queueing.storage.mongodb.queues import MongoQueues
from queueing.storage.mongodb.reserving import Reservations
from queueing.storage.mongodb.sweeping import Sweeping

logger = logging.getLogger(__name__)

AT_ONCE: Final = 500
"""Messages that claims and pops of one process ask for in one step."""

OLDEST_WIRE_VERSION: Final = 17
"""That of MongoDB 6.0."""


def open(uri: str, *, timeout_seconds: float) -> Storage:
    """Connect, and make the indexes that are missing.

    :raises SetupError: the URI makes no sense, or the server is too old
    :raises StorageUnavailable: no server answered in time
    """
    connection = Connection(uri, timeout_seconds)
    try:
        with connection.verb():
            hello = _hello(connection)
            if hello["maxWireVersion"] < OLDEST_WIRE_VERSION:
                raise SetupError(
                    f"storage: MongoDB at {connection.place} is older than 6.0: "
                    f"it speaks wire version {hello['maxWireVersion']}, "
                    f"and {OLDEST_WIRE_VERSION} is needed"
                )
            indexes.make(connection)
    except BaseException:
        connection.close()
        raise
    for weakness in connection.weaknesses:
        logger.warning("storage: %s", weakness)
    return MongoStorage(connection)


class MongoStorage(Storage, Announces):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.when_back = self._reconnected
        self._announcements = Announcements(connection)
        ledgers = Ledgers(connection)
        free = FreeMessages(connection)
        self._sweeping = Sweeping(connection)
        reservations = Reservations(connection, ledgers)
        appending = Appending(connection, ledgers, reservations, self._announcements)
        letters = Letters(connection, reservations, appending, free)
        posting = Posting(connection, ledgers, reservations, appending, free)
        line = Line(connection, ledgers)
        self.queues = MongoQueues(connection, ledgers, self._sweeping)
        crowds = Crowds(AT_ONCE)
        self.messages = MongoMessages(
            connection, ledgers, reservations, posting, free, letters, self._sweeping, line, crowds
        )
        self.claims = MongoClaims(
            connection, ledgers, free, letters, self._announcements, line, crowds
        )

    def time(self) -> float:
        with self._connection.verb():
            now: datetime = _hello(self._connection)["localTime"]
        return now.replace(tzinfo=UTC).timestamp()

    def ping(self) -> None:
        with self._connection.verb():
            self._connection.again(lambda: self._connection.client.admin.command("ping"))

    def durability(self) -> Mapping[str, str | int | bool]:
        client = self._connection.client
        with self._connection.verb():
            hello = _hello(self._connection)
            version = self._connection.again(lambda: client.admin.command("buildInfo"))["version"]
        w = client.write_concern.document.get("w", 1)
        journal = bool(client.write_concern.document.get("j", False))
        level = client.read_concern.level or "local"
        topology = _topology(hello)
        facts: dict[str, str | int | bool] = {
            "engine": f"MongoDB {version}",
            "promise": _promise(topology, w, journal),
            "topology": topology,
            "w": w,
            "journal": journal,
            "readConcern": level,
            "readPreference": client.read_preference.mongos_mode,
        }
        for number, weakness in enumerate(self._connection.weaknesses, 1):
            facts[f"warning{number}"] = weakness
        return facts

    def collect(self, *, now: float, limit: int) -> int:
        with self._connection.verb():
            return self._sweeping.collect(now, limit)

    def piles(self, *, limit: int) -> list[QueueRef]:
        pipeline: list[Mapping[str, Any]] = [
            {"$match": {"s": DEAD}},
            {"$group": {"_id": {"p": "$p", "q": "$q"}}},
            {"$limit": limit},
        ]
        with self._connection.verb():
            found = self._connection.again(
                lambda: list(self._connection.documents.aggregate(pipeline, hint=PILES))
            )
        return [QueueRef(pile["_id"]["p"], pile["_id"]["q"]) for pile in found]

    def listen(self, hear: Callable[[QueueRef, int], None]) -> None:
        self._announcements.listen(hear)

    def follow(self, queue: QueueRef) -> bool:
        return self._announcements.follow(queue)

    def unfollow(self, queue: QueueRef) -> None:
        self._announcements.unfollow(queue)

    def _reconnected(self) -> None:
        if self.on_reconnect is not None:
            self.on_reconnect()

    def close(self) -> None:
        self._announcements.close()
        self._connection.close()


def _hello(connection: Connection) -> Mapping[str, Any]:
    """What the server says of itself."""

    def step() -> Mapping[str, Any]:
        admin = connection.client.admin
        try:
            return admin.command("hello")
        except OperationFailure as error:
            if error.code != COMMAND_NOT_FOUND:
                raise
            return admin.command("isMaster")

    return connection.again(step)


def _topology(hello: Mapping[str, Any]) -> str:
    if hello.get("msg") == "isdbgrid":
        return "sharded"
    return f"replica set {hello['setName']}" if "setName" in hello else "one server"


def _promise(topology: str, w: str | int, journal: bool) -> str:
    where = "is in the journal on disk" if journal else "is in memory, and soon on disk,"
    if topology == "one server":
        return f"What was acknowledged {where} of one server."
    if w == "majority":
        return f"What was acknowledged {where} of a majority of the replicas, and survives a fail-over."
    return f"What was acknowledged {where} of {w} of the replicas, and a fail-over may lose it."
