"""Giving out sequences: reservations in a queue's document, which `appending.py` explains."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from queueing.core.errors import StaleSettings
from queueing.core.models import NO_METADATA, Metadata
from queueing.storage.mongodb.connection import Connection
from queueing.storage.mongodb.crowds import Crowds, Wish
from queueing.storage.mongodb.keys import Document, QueueKey
from queueing.storage.mongodb.ledger import NEWS, Ledger, Ledgers, Reservation, blank, micros

PAUSE_SECONDS: Final = 0.002

FARTHEST_AHEAD: Final = 1_000_000
"""By how much a sequence may be greater than it has to be, where many post at once."""

AT_ONCE: Final = 10_000
"""Sequences that are given out in one step, unless it is for one post."""

PATIENCE_READS: Final = 4
"""A reservation is left open for so many reads of who waits longer than its own patience."""

MOST_MORE_PATIENCE: Final = 2.0

SAME_TIME_SECONDS: Final = 1.0
"""Posts may share a step if they were made within so much time."""


class Busy(Exception):
    """Something is in flight that must be decided first; `ledger` shows it as open."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger


class WasVoided(Exception):
    """The attempt was taken back by somebody who would not wait."""


@dataclass(eq=False)
class Reserving(Wish):
    """One post that needs sequences."""

    name: str
    length: int
    version: str
    now: float
    made: Reservation | None = None
    was_voided: bool = False

    @property
    def served(self) -> bool:
        return self.made is not None or self.was_voided

    @property
    def size(self) -> int:
        return self.length

    def goes_with(self, first: Wish) -> bool:
        return (
            isinstance(first, Reserving)
            and first.version == self.version
            and abs(first.now - self.now) < SAME_TIME_SECONDS
        )


class Made(NamedTuple):
    """What one step gave out: None for what was given out earlier and was taken back since."""

    reservations: list[Reservation | None]
    before: int  # what was the last sequence before; -1 where that is not known


class Reservations:
    """Of all queues."""

    def __init__(self, connection: Connection, ledgers: Ledgers) -> None:
        self._connection = connection
        self._ledgers = ledgers
        self._crowds = Crowds(AT_ONCE)

    def reserve(
        self, key: QueueKey, size: int, name: str, *, version: str, now: float
    ) -> Reservation:
        """Give out so many sequences, and note them as open; the queue is made if it is missing.

        Posts of one process that meet here share a step. May be done again under the same name.

        :raises StaleSettings: the queue's settings are of another version
        :raises WasVoided: this very reservation was made and taken back meanwhile
        """
        wish = Reserving(name, size, version, now)

        def work(wishes: list[Reserving]) -> None:
            latest = max(one.now for one in wishes)
            wanted = [(one.name, one.length) for one in wishes]
            made = self._reserve(key, wanted, version, latest, {})
            for one, reservation in zip(wishes, made.reservations, strict=True):
                one.made, one.was_voided = reservation, reservation is None

        self._crowds.serve(key.id, wish, self._connection.deadline, work)
        if wish.made is None:
            raise WasVoided
        return wish.made

    def reserve_only(
        self,
        key: QueueKey,
        size: int,
        name: str,
        *,
        version: str | None,
        now: float,
        only: Mapping[str, str],
    ) -> tuple[Reservation, int]:
        """As `reserve`, marked; while a reservation with the same mark is open no other gets it.

        Also returns what was the last sequence before. Settings may be of any version if it is None.

        :raises Busy: a reservation with this mark is open
        """
        made = self._reserve(key, [(name, size)], version, now, only)
        (reservation,) = made.reservations
        if reservation is None:
            raise WasVoided
        return reservation, made.before

    def _reserve(
        self,
        key: QueueKey,
        wanted: Sequence[tuple[str, int]],
        version: str | None,
        now: float,
        mark: Mapping[str, str],
    ) -> Made:
        first = micros(now)
        taken = _laid_out(wanted, first)
        match = _unless_there(key, wanted[0][0], mark) | {"alive": True, "last": {"$lt": first}}
        if version is not None:
            match["version"] = version
        before = self._ledgers.update_last(match, _opening(taken, mark))
        if before is not None:
            return Made(list(taken), before)
        # Where others come between each time, go ahead of them; the time soon catches up.
        ahead = 0
        while True:
            made = self._reserve_slowly(key, wanted, version, first, mark, ahead)
            if made:
                return made
            ahead = min(4 * ahead + 1000, FARTHEST_AHEAD)
            time.sleep(PAUSE_SECONDS * random.random())  # noqa: S311 - no secret

    def _reserve_slowly(
        self,
        key: QueueKey,
        wanted: Sequence[tuple[str, int]],
        version: str | None,
        us: int,
        mark: Mapping[str, str],
        ahead: int,
    ) -> Made | None:
        """Look first, then change what was seen; None if somebody came between."""
        document = self._connection.one(key.itself())
        ledger = Ledger.of(document)
        there = {reservation.name: reservation for reservation in ledger.open}
        voided = {reservation.name for reservation in ledger.void}
        if any(name in there or name in voided for name, _ in wanted):
            # An earlier sending arrived after all; what was before it is not known.
            return Made([there.get(name) for name, _ in wanted], -1)
        if version is not None and ledger.version != version:
            raise StaleSettings(
                Metadata(document["doc"], document["version"]) if document else NO_METADATA
            )
        for entry in document["open"] if document else ():
            if any(entry.get(field) == value for field, value in mark.items()):
                raise Busy(ledger)
        first = max(ledger.last + 1 + ahead, us)
        taken = _laid_out(wanted, first)
        change = _opening(taken, mark)
        if document is None:
            entries = change["$push"]["open"]["$each"]
            made = {"alive": True, "born": taken[0].name, "last": taken[-1].last, "open": entries}
            is_new = self._ledgers.insert(blank(key) | made)
            return Made(list(taken), 0) if is_new else None
        if not ledger.alive:
            change["$set"] |= {"alive": True, "born": taken[0].name}
        match = _unless_there(key, taken[0].name, mark)
        match |= {"alive": ledger.alive, "last": {"$lt": first}, "version": ledger.version}
        before = self._ledgers.update_last(match, change)
        return None if before is None else Made(list(taken), before)

    def cancel(self, key: QueueKey, taken: Reservation, before: int) -> None:
        """Give back a reservation under which nothing was written."""
        match = key.itself()
        match["open.t"] = taken.name
        change: Document = {"$pull": {"open": {"t": taken.name}}}
        if before >= 0:  # and if nobody took the next ones, these are as good as new
            self._ledgers.update(
                {**match, "last": taken.last}, {**change, "$set": {"last": before}}
            )
        self._ledgers.update(match, change)

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
        return self._ledgers.update(match, change) is not None

    def settle(self, key: QueueKey, reservations: list[Reservation], now: float) -> Ledger:
        """Wait until none of these is open, and take back those that stay so for too long.

        A post takes a few milliseconds; one that takes much longer is of a process that died. Where
        reading takes long, so may posting.
        If it is not, its poster notices and begins again: nothing is lost.
        """
        names = {reservation.name for reservation in reservations}
        began = time.monotonic()
        slowest = 0.0
        pause = PAUSE_SECONDS
        while True:
            asked = time.monotonic()
            ledger = self._ledgers.read(key)
            waiting = [r for r in ledger.open if r.name in names]
            if not waiting:
                return ledger
            answered = time.monotonic()
            slowest = max(slowest, answered - asked)
            waited = answered - began - min(PATIENCE_READS * slowest, MOST_MORE_PATIENCE)
            given_up = [r for r in waiting if waited >= r.patience_seconds]
            for reservation in given_up:
                self.void(key, reservation, now)
            if not given_up:
                time.sleep(pause)
                pause = min(pause * 2, 10 * PAUSE_SECONDS)


def _laid_out(wanted: Sequence[tuple[str, int]], first: int) -> list[Reservation]:
    taken = []
    for name, size in wanted:
        taken.append(Reservation(name, first, first + size - 1))
        first += size
    return taken


def _unless_there(key: QueueKey, name: str, mark: Mapping[str, str]) -> Document:
    """A filter for the queue if it has neither this reservation nor one with the mark."""
    match = key.itself()
    match["open.t"] = match["void.t"] = {"$ne": name}
    for field, value in mark.items():
        match[f"open.{field}"] = {"$ne": value}
    return match


def _opening(taken: Sequence[Reservation], mark: Mapping[str, str]) -> Document:
    entries = [{"t": one.name, "s": one.first, "e": one.last, **mark} for one in taken]
    return {"$set": {"last": taken[-1].last}, "$push": {"open": {"$each": entries}}}


def closing(key: QueueKey, taken: Reservation) -> tuple[Document, Document]:
    """The update that finishes a reservation: what was written under it is there from now on."""
    match = key.itself()
    match["open.t"] = taken.name
    return match, {"$pull": {"open": {"t": taken.name}}} | NEWS
