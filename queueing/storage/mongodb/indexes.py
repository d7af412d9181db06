"""The indexes, made at the start where they are missing, each with the queries that need it.

Documents of a queue are also found by `_id`, which every collection has an index for: messages, claims
and keys by their ids, the queue's own document, the guarded updates of a claim.
"""

from __future__ import annotations

from typing import Final

from pymongo import ASCENDING, IndexModel
from pymongo.errors import OperationFailure

from queueing.core.errors import SetupError
from queueing.storage.mongodb.connection import Connection
from queueing.storage.mongodb.keys import DEAD, Document

SERVICE: Final = "service"
SEQUENCE: Final = "sequence"
HOLDER: Final = "holder"
NAMES: Final = "names"
PILES: Final = "piles"
CHORES: Final = "chores"
SWEEP: Final = "sweep"


def _index(name: str, *fields: str, only: Document | None = None) -> IndexModel:
    keys = [(field, ASCENDING) for field in fields]
    if only is None:
        return IndexModel(keys, name=name)
    return IndexModel(keys, name=name, partialFilterExpression=only)


INDEXES: Final = [
    # What a claim or a pop meets at the head of a queue, in the order of `s`, `due`, `seq`: the same
    # claim made already, the dead pile, what has waited long enough, what is free. Counting claims.
    # Also an index for the shard key. `exp` spares looking at documents that are over.
    _index(SERVICE, "p", "q", "s", "due", "seq", "exp"),
    # Pages, the oldest and the newest, counts: some states, by sequence. Emptying what was purged.
    _index(SEQUENCE, "p", "q", "s", "seq", "exp"),
    # The messages of a claim: get, renew, release. The letters of some burials: clear.
    _index(HOLDER, "p", "q", "c", only={"c": {"$exists": True}}),
    # Listing and counting a project's queues.
    _index(NAMES, "p", "q", only={"alive": True}),
    # Queues with a dead pile.
    _index(PILES, "s", "p", "q", only={"s": DEAD}),
    # Queues where something was purged, deleted or taken back.
    _index(CHORES, "chore", only={"chore": {"$exists": True}}),
    # Sweeping; by the server itself an hour later (`records.sweep_at`). No queue's own document has
    # an `x`, so what numbers grow on from is never swept by it.
    IndexModel([("x", ASCENDING)], name=SWEEP, expireAfterSeconds=0),
]


def make(connection: Connection) -> None:
    """:raises SetupError: an index of that name is there and is another"""
    try:
        connection.again(lambda: connection.documents.create_indexes(INDEXES))
    except OperationFailure as error:
        if error.code in (85, 86):  # IndexOptionsConflict, IndexKeySpecsConflict
            raise SetupError(
                f"storage: {connection.documents.full_name} has other indexes than this version "
                f"makes: {' '.join(str(error).split())}"
            ) from None
        raise
