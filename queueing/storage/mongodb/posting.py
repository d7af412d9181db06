"""Posting: appending, and the idempotency keys that a queue remembers."""

from __future__ import annotations

from collections.abc import Sequence

from queueing.core.errors import IdempotencyKeyReused, StaleSettings
from queueing.core.models import Draft, IdempotencyKey, Posted, message_id
from queueing.storage.mongodb.appending import Appending, InTheWay, attempts
from queueing.storage.mongodb.connection import Connection
from queueing.storage.mongodb.free import FreeMessages
from queueing.storage.mongodb.keys import KEY, Document, QueueKey
from queueing.storage.mongodb.ledger import (
    NO_DOCUMENT,
    Ledger,
    Ledgers,
    Reservation,
)
from queueing.storage.mongodb.records import drafted, sweep_at
from queueing.storage.mongodb.reserving import Busy, Reservations, WasVoided


class Posting:
    def __init__(
        self,
        connection: Connection,
        ledgers: Ledgers,
        reservations: Reservations,
        appending: Appending,
        free: FreeMessages,
    ) -> None:
        self._connection = connection
        self._ledgers = ledgers
        self._reservations = reservations
        self._appending = appending
        self._free = free

    def post(
        self,
        key: QueueKey,
        drafts: Sequence[Draft],
        *,
        client_id: str,
        token: str,
        version: str,
        now: float,
    ) -> Posted:
        """Two round trips, however many messages."""
        ids = tuple(message_id(token, index) for index in range(len(drafts)))
        for name in attempts(token):
            try:
                taken = self._reservations.reserve(key, len(ids), name, version=version, now=now)
            except WasVoided:
                continue
            documents = _drafted(key, ids, drafts, taken, client_id, now)
            if self._write(key, ids, taken, documents, now):
                break
        return Posted(ids)

    def post_once(
        self,
        key: QueueKey,
        drafts: Sequence[Draft],
        *,
        client_id: str,
        token: str,
        version: str,
        now: float,
        idempotency: IdempotencyKey,
    ) -> Posted:
        """Three round trips: the key is looked for first. One for a replay.

        No other post under the key has a reservation while this one has. So the key is still not
        remembered if no sequence was given out since we looked; else we look again, once.
        """
        ids = tuple(message_id(token, index) for index in range(len(drafts)))
        only = {"k": idempotency.key}
        for name in attempts(token):
            ledger, posted = self._remembered(key, idempotency, now)
            if posted:
                return posted
            try:
                taken, before = self._reservations.reserve_only(
                    key, len(ids), name, version=version, now=now, only=only
                )
            except (Busy, WasVoided):
                continue
            except StaleSettings:
                # A key that is remembered comes before the settings, also one that is that new.
                _, posted = self._remembered(key, idempotency, now)
                if posted:
                    return posted
                raise
            if before != ledger.last:
                try:
                    _, posted = self._remembered(key, idempotency, now, besides=name)
                except IdempotencyKeyReused:
                    self._reservations.cancel(key, taken, before)
                    raise
                if posted:
                    self._reservations.cancel(key, taken, before)
                    return posted
            documents = _drafted(key, ids, drafts, taken, client_id, now)
            documents.insert(0, _remember(key, idempotency, token, len(ids), taken.first))
            if self._write(key, ids, taken, documents, now):
                break
        return Posted(ids)

    def _write(
        self,
        key: QueueKey,
        ids: Sequence[str],
        taken: Reservation,
        documents: list[Document],
        now: float,
    ) -> bool:
        """False if all is to begin again."""
        try:
            return self._appending.write(key, taken, documents, now)
        except InTheWay:
            return self._is_done(key, ids)

    def _is_done(self, key: QueueKey, ids: Sequence[str]) -> bool:
        """Whether messages of these ids are there; makes room if it is only remains that are."""
        found = self._connection.some(key.some(map(key.message, ids)), {"seq": 1})
        ledger = self._ledgers.read(key)
        remains = [document for document in found if ledger.voids(document["seq"])]
        self._free.discard_hidden(key, remains, ledger)
        return len(remains) < len(found)

    def _remembered(
        self, key: QueueKey, idempotency: IdempotencyKey, now: float, besides: str = ""
    ) -> tuple[Ledger, Posted | None]:
        """What the queue's key was first answered with, once no other post with it is in flight.

        :raises IdempotencyKeyReused: for another body
        """
        kept = key.idempotency(idempotency.key)
        while True:
            documents = self._connection.some(key.some([key.id, kept]), NO_DOCUMENT)
            found = {document["_id"]: document for document in documents}
            itself, first = found.get(key.id), found.get(kept)
            ledger = Ledger.of(itself)
            in_flight = [
                Reservation.of(entry)
                for entry in (itself["open"] if itself else ())
                if entry.get("k") == idempotency.key and entry["t"] != besides
            ]
            if in_flight:
                self._reservations.settle(key, in_flight, now)
                continue
            if first is None:
                return ledger, None
            if ledger.voids(first["seq"]) or first["exp"] <= now:
                self._free.discard(key, [kept], seq=first["seq"])
                return ledger, None
            if first["d"] != idempotency.digest:
                raise IdempotencyKeyReused(idempotency.key)
            ids = tuple(message_id(first["t"], index) for index in range(first["n"]))
            return ledger, Posted(ids, replayed=True)


def _drafted(
    key: QueueKey,
    ids: Sequence[str],
    drafts: Sequence[Draft],
    taken: Reservation,
    client_id: str,
    now: float,
) -> list[Document]:
    return [
        drafted(key, id, draft, sequence, client_id, now)
        for sequence, (id, draft) in enumerate(zip(ids, drafts, strict=True), taken.first)
    ]


def _remember(
    key: QueueKey, idempotency: IdempotencyKey, token: str, number: int, sequence: int
) -> Document:
    return {
        "_id": key.idempotency(idempotency.key),
        "q": key.name,
        "p": key.project,
        "s": KEY,
        "due": 0,
        "seq": sequence,
        "exp": idempotency.expires_at,
        "x": sweep_at(idempotency.expires_at),
        "t": token,
        "n": number,
        "d": idempotency.digest,
    }
