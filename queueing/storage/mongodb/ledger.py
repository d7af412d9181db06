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

import random
import time
from collections.abc import Mapping
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

PAUSE_SECONDS: Final = 0.002

FARTHEST_AHEAD: Final = 1_000_000
"""By how much a sequence may be greater than it has to be, where many post at once."""

LINE_PATIENCE_SECONDS: Final = 0.5
"""How long the first in line may do nothing, and `LINE_PATIENCE_READS` of its next one's reads more."""

LINE_PATIENCE_READS: Final = 20

VOID_SECONDS: Final = 3600
"""How long a void reservation is remembered: longer than any write can be on its way."""

CHANGES_REMEMBERED: Final = 16

NO_DOCUMENT: Final = {"doc": 0}

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
    """A filter for sequences in any of the ranges, of which there is at least one."""
    ranges = [{"seq": {"$gt": low, "$lte": high}} for low, high in bounds]
    return ranges[0] if len(ranges) == 1 else {"$or": ranges}


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


class Busy(Exception):
    """Something is in flight that must be decided first; `ledger` shows it as open."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger


class WasVoided(Exception):
    """The attempt was taken back by somebody who would not wait."""


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

    def _update(self, match: Document, change: Document, *, before: bool = False) -> Ledger | None:
        """Change the document that fits, and return it; None if none does. May be done again."""
        found = self._connection.again(
            lambda: self._connection.documents.find_one_and_update(
                match,
                change,
                projection=NO_DOCUMENT,
                return_document=ReturnDocument.BEFORE if before else ReturnDocument.AFTER,
                hint=BY_ID,
            )
        )
        return Ledger.of(found) if found else None

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
                stamped = self._update(match | guard, change)
                if stamped:
                    return stamped
            ledger = self.read(key)
            if not ledger.alive:
                return None
            if version is not None and ledger.version != version:
                raise self.refuse(key)

    # Reservations

    def reserve(
        self,
        key: QueueKey,
        size: int,
        name: str,
        *,
        version: str | None,
        now: float,
        only: Mapping[str, str] | None = None,
    ) -> tuple[Reservation, int]:
        """Give out so many sequences, and note them as open; the queue is made if it is missing.

        Also returns what was the last sequence before. `only` marks the reservation, and while one
        with the same mark is open no other gets it. May be done again under the same name.

        :raises StaleSettings: the queue's settings are of another version (None: whichever)
        :raises Busy: a reservation with this mark is open
        :raises WasVoided: this very reservation was made and taken back meanwhile
        """
        first = micros(now)
        mark = dict(only or {})
        match = key.itself(alive=True, last={"$lt": first})
        match["open.t"] = match["void.t"] = {"$ne": name}
        if version is not None:
            match["version"] = version
        for field, value in mark.items():
            match[f"open.{field}"] = {"$ne": value}
        taken = Reservation(name, first, first + size - 1)
        before = self._update(match, _opening(taken, mark), before=True)
        if before:
            return taken, before.last
        # Where others come between each time, go ahead of them; the time soon catches up.
        ahead = 0
        while True:
            made = self._reserve_slowly(key, size, name, version, first, mark, ahead)
            if made:
                return made
            ahead = min(4 * ahead + 1000, FARTHEST_AHEAD)
            time.sleep(PAUSE_SECONDS * random.random())  # noqa: S311 - no secret

    def _reserve_slowly(
        self,
        key: QueueKey,
        size: int,
        name: str,
        version: str | None,
        us: int,
        mark: Mapping[str, str],
        ahead: int,
    ) -> tuple[Reservation, int] | None:
        """Look first, then change what was seen; None if somebody came between."""
        document = self._connection.one(key.itself())
        ledger = Ledger.of(document)
        for entry in document["open"] if document else ():
            if entry["t"] == name:
                # An earlier sending arrived after all; what was before it is not known.
                return Reservation.of(entry), -1
        if any(r.name == name for r in ledger.void):
            raise WasVoided
        if version is not None and ledger.version != version:
            raise StaleSettings(
                Metadata(document["doc"], document["version"]) if document else NO_METADATA
            )
        for entry in document["open"] if document else ():
            if any(entry.get(field) == value for field, value in mark.items()):
                raise Busy(ledger)
        first = max(ledger.last + 1 + ahead, us)
        taken = Reservation(name, first, first + size - 1)
        change = _opening(taken, mark)
        if document is None:
            entry = change["$push"]["open"]
            made = {"alive": True, "born": name, "last": taken.last, "open": [entry]}
            return (taken, 0) if self.insert(blank(key) | made) else None
        if not ledger.alive:
            change["$set"] |= {"alive": True, "born": name}
        match = key.itself(alive=ledger.alive, last={"$lt": first}, version=ledger.version)
        match["open.t"] = match["void.t"] = {"$ne": name}
        for field, value in mark.items():
            match[f"open.{field}"] = {"$ne": value}
        before = self._update(match, change, before=True)
        return (taken, before.last) if before else None

    # The line

    def line_up(self, key: QueueKey, name: str) -> None:
        """Wait until this one is the first in line: whoever else would take the same waits, too.

        One that does nothing is put out of the line, as it may be dead. If it is not, no harm is done:
        the line is there so that each comes to its turn; what keeps them apart are the guards.
        """
        joined = self._update(key.itself(line={"$ne": name}), {"$push": {"line": name}})
        line = joined.line if joined else self._line(key)
        began = time.monotonic()
        slowest = 0.0
        while name in line and line[0] != name:
            time.sleep(PAUSE_SECONDS * min(line.index(name), 10))
            asked = time.monotonic()
            first, line = line[0], self._line(key)
            now = time.monotonic()
            slowest = max(slowest, now - asked)
            if not line or line[0] != first:
                began = now
            elif now - began > LINE_PATIENCE_SECONDS + LINE_PATIENCE_READS * slowest:
                self.step_out(key, first)

    def step_out(self, key: QueueKey, name: str) -> None:
        self._connection.update(*leaving(key, name))

    def _line(self, key: QueueKey) -> tuple[str, ...]:
        found = self._connection.one(key.itself(), {"line": 1})
        return tuple(found["line"]) if found else ()

    def cancel(self, key: QueueKey, taken: Reservation, before: int) -> None:
        """Give back a reservation under which nothing was written."""
        match = key.itself()
        match["open.t"] = taken.name
        change: Document = {"$pull": {"open": {"t": taken.name}}}
        if before >= 0:  # and if nobody took the next ones, these are as good as new
            self._update({**match, "last": taken.last}, {**change, "$set": {"last": before}})
        self._update(match, change)

    def void(self, key: QueueKey, taken: Reservation, now: float) -> bool:
        """Take a reservation back, unless it is finished; True if this did it."""
        match = key.itself()
        match["open.t"] = taken.name
        entry = {"t": taken.name, "s": taken.first, "e": taken.last, "at": now}
        change = {
            "$pull": {"open": {"t": taken.name}},
            "$push": {"void": entry},
            "$min": {"chore": now},
        }
        return self._update(match, change) is not None

    def settle(self, key: QueueKey, reservations: list[Reservation], now: float) -> Ledger:
        """Wait until none of these is open, and take back those that stay so for too long.

        A post takes a few milliseconds; one that takes much longer is of a process that died.
        If it is not, its poster notices and begins again: nothing is lost.
        """
        names = {reservation.name for reservation in reservations}
        began = time.monotonic()
        pause = PAUSE_SECONDS
        while True:
            ledger = self.read(key)
            waiting = [r for r in ledger.open if r.name in names]
            if not waiting:
                return ledger
            waited = time.monotonic() - began
            given_up = [r for r in waiting if waited >= r.patience_seconds]
            for reservation in given_up:
                self.void(key, reservation, now)
            if not given_up:
                time.sleep(pause)
                pause = min(pause * 2, 10 * PAUSE_SECONDS)


def _opening(taken: Reservation, mark: Mapping[str, str]) -> Document:
    entry = {"t": taken.name, "s": taken.first, "e": taken.last, **mark}
    return {"$set": {"last": taken.last}, "$push": {"open": entry}}


def leaving(key: QueueKey, name: str) -> tuple[Document, Document]:
    """The update by which one steps out of the line."""
    return key.itself(), {"$pull": {"line": name}}


def closing(key: QueueKey, taken: Reservation) -> tuple[Document, Document]:
    """The update that finishes a reservation: what was written under it is there from now on."""
    match = key.itself()
    match["open.t"] = taken.name
    return match, {"$pull": {"open": {"t": taken.name}}} | NEWS
