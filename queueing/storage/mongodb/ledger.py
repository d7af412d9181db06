"""A queue's own document: its metadata, and what it has given out.

    alive, doc, version   whether the queue exists; its metadata
    born, changes         who made it and who replaced its metadata lately: tokens
    last, fence           the highest sequence and fence that were given out; they outlive the queue
    floor, claim_floor    messages up to this sequence, claims up to this fence are gone: purged, deleted
    open                  reservations: sequences given out to a post that is not finished yet
    void                  reservations that were taken back; nothing under their sequences ever counts
    buried                how many were ever buried: the next place on the dead pile
    line                  claims and pops that met others, in the order in which they may go on, if any
    chore                 when the sweeper has something to do here
    news                  grows with each step that makes messages free, for `announcing.py`

The last word on a message: it exists if it is in the collection and `Ledger.shows` its sequence. So a
post becomes visible, a queue empty, a dead poster's remains nothing, in one update of this document.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from queueing.core.errors import StaleSettings
from queueing.core.models import EMPTY_METADATA, NO_METADATA, Metadata
from queueing.storage.mongodb.connection import BY_ID, Connection
from queueing.storage.mongodb.keys import Document, QueueKey

PATIENCE_SECONDS: Final = 0.25
"""How long one who needs to know waits for a reservation before taking it back: for a first attempt."""

PATIENCE_PER_MESSAGE_SECONDS: Final = 0.0005

MOST_PATIENCE: Final = 8
"""Times `PATIENCE_SECONDS`: readers have to answer, too."""

VOID_SECONDS: Final = 3600
"""How long a void reservation is remembered: longer than any write can be on its way."""

CHANGES_REMEMBERED: Final = 16

NO_DOCUMENT: Final = {"doc": 0}

LAST: Final = {"last": 1}

NEWS: Final[Document] = {"$inc": {"news": 1}}

Bounds = tuple[int, int]


class Reservation(NamedTuple):
    """Sequences `first` to `last` of one post; `name` is its token and the number of the attempt."""

    name: str
    first: int
    last: int

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Reservation:
        return cls(document["t"], document["s"], document["e"])

    def holds(self, sequence: int) -> bool:
        return self.first <= sequence <= self.last

    @property
    def patience_seconds(self) -> float:
        """Longer for a batch, and twice as long for each attempt: a slow poster gets through."""
        attempt = int(self.name.rpartition(".")[2])
        size = self.last - self.first + 1
        once = PATIENCE_SECONDS + size * PATIENCE_PER_MESSAGE_SECONDS
        return min(once * 2.0**attempt, MOST_PATIENCE * PATIENCE_SECONDS)


class Ledger(NamedTuple):
    """The document, read."""

    alive: bool
    version: str
    born: str
    last: int
    fence: int
    floor: int
    claim_floor: int
    buried: int
    open: tuple[Reservation, ...]
    void: tuple[Reservation, ...]
    line: tuple[str, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> Ledger:
        if document is None:
            return MISSING
        return cls(
            document["alive"],
            document["version"],
            document["born"],
            document["last"],
            document["fence"],
            document["floor"],
            document["claim_floor"],
            document["buried"],
            tuple(map(Reservation.of, document["open"])),
            tuple(map(Reservation.of, document["void"])),
            tuple(document.get("line", ())),
        )

    def shows(self, sequence: int) -> bool:
        if not self.floor < sequence <= self.last:
            return False
        return not any(r.holds(sequence) for r in (*self.open, *self.void))

    def voids(self, sequence: int) -> bool:
        return any(r.holds(sequence) for r in self.void)

    def lets_claim_live(self, document: Mapping[str, Any] | None, now: float) -> bool:
        return (
            document is not None
            and document["until"] > now
            and document["fence"] > self.claim_floor
            and self.alive
        )

    def bounds(self, after: int = 0, up_to: int | None = None) -> list[Bounds]:
        """The ranges of sequences that `shows` shows, each above its first number, up to its second."""
        low = max(after, self.floor)
        end = self.last if up_to is None else min(up_to, self.last)
        found = []
        for hidden in sorted((*self.open, *self.void), key=lambda r: r.first):
            if hidden.last <= low:
                continue
            if hidden.first - 1 > low:
                found.append((low, min(hidden.first - 1, end)))
            low = hidden.last
        found.append((low, end))
        return [bounds for bounds in found if bounds[0] < bounds[1]]

    def in_the_way(self, after: int, up_to: int) -> list[Reservation]:
        """Unfinished posts between the two sequences: a reader cannot know yet what is there."""
        low = max(after, self.floor)
        return [r for r in self.open if r.last > low and r.first <= up_to]


MISSING: Final = Ledger(False, "", "", 0, 0, 0, 0, 0, (), (), ())


def within(bounds: list[Bounds]) -> Document:
    """A filter for sequences in any of the ranges, in order, of which there is at least one.

    One range and what is hidden in it, so that it is one range of an index, too.
    """
    match: Document = {"seq": {"$gt": bounds[0][0], "$lte": bounds[-1][1]}}
    if len(bounds) > 1:
        gaps = pairwise(bounds)
        match["$nor"] = [{"seq": {"$gt": one[1], "$lte": next[0]}} for one, next in gaps]
    return match


def blank(key: QueueKey) -> Document:
    """The document of a queue that never existed."""
    return {
        "_id": key.id,
        "q": key.name,
        "p": key.project,
        "alive": False,
        "doc": EMPTY_METADATA,
        "version": "",
        "born": "",
        "changes": [],
        "last": 0,
        "fence": 0,
        "floor": 0,
        "claim_floor": 0,
        "buried": 0,
        "open": [],
        "void": [],
    }


def micros(now: float) -> int:
    return int(now * 1_000_000)


class Ledgers:
    """All queues' own documents."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, key: QueueKey) -> Ledger:
        return Ledger.of(self._connection.one(key.itself(), NO_DOCUMENT))

    def metadata(self, key: QueueKey) -> Metadata | None:
        found = self._connection.one(key.itself(alive=True), {"doc": 1, "version": 1})
        return Metadata(found["doc"], found["version"]) if found else None

    def refuse(self, key: QueueKey) -> StaleSettings:
        return StaleSettings(self.metadata(key) or NO_METADATA)

    def update(self, match: Document, change: Document) -> Ledger | None:
        """Change the document that fits, and return it; None if none does. May be done again."""
        found = self._connection.again(
            lambda: self._connection.documents.find_one_and_update(
                match,
                change,
                projection=NO_DOCUMENT,
                return_document=ReturnDocument.AFTER,
                hint=BY_ID,
            )
        )
        return Ledger.of(found) if found else None

    def update_last(self, match: Document, change: Document) -> int | None:
        """The same, and return what `last` was before."""
        found = self._connection.again(
            lambda: self._connection.documents.find_one_and_update(
                match, change, projection=LAST, return_document=ReturnDocument.BEFORE, hint=BY_ID
            )
        )
        return found["last"] if found else None

    def insert(self, document: Document) -> bool:
        """Put a queue's first document into its place; False if it has one."""
        try:
            self._connection.again(lambda: self._connection.documents.insert_one(document))
        except DuplicateKeyError:
            return False
        return True

    # Fences and places on the pile

    def stamp(
        self, key: QueueKey, *, version: str | None, fences: int, burying: int, now: float
    ) -> Ledger | None:
        """Give out fences and places on the pile, if the queue has settings of this version.

        None: the queue does not exist. What is given out is at the upper end of the answer.

        :raises StaleSettings: the settings are of another version (None: whichever)
        """
        us = micros(now)
        match = key.itself(alive=True)
        if version is not None:
            match["version"] = version
        places = {"buried": burying} if burying else {}
        ways: list[tuple[Document, Document]] = []
        if fences:
            # The time, or the next number where another node's clock is ahead by a bit.
            by_time: Document = {"$set": {"fence": us + fences - 1}}
            ways.append(({"fence": {"$lt": us}}, by_time | ({"$inc": places} if places else {})))
            ways.append(({"fence": {"$gte": us}}, {"$inc": {"fence": fences} | places}))
        else:
            ways.append(({}, {"$inc": places}))
        while True:
            for guard, change in ways:
                stamped = self.update(match | guard, change)
                if stamped:
                    return stamped
            ledger = self.read(key)
            if not ledger.alive:
                return None
            if version is not None and ledger.version != version:
                raise self.refuse(key)
