"""Messages of a queue."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

from queueing.core.errors import (
    ClaimExpired,
    IdempotencyKeyReused,
    MessageIsClaimed,
    StaleSettings,
    WrongClaim,
)
from queueing.core.models import (
    DeadLetter,
    Draft,
    IdempotencyKey,
    Message,
    Metadata,
    Milestone,
    Outlook,
    Posted,
    QueueRef,
    Stats,
    message_id,
    request_token,
)
from queueing.storage.contract import BURIAL_SECONDS, MessageStore
from queueing.storage.redis.announcing import Announcements
from queueing.storage.redis.connection import Connection
from queueing.storage.redis.keys import QueueKeys, pack_id, unpack_id
from queueing.storage.redis.records import (
    both,
    microseconds,
    pack_client,
    pack_draft,
    pack_letter,
    unpack_letters,
    unpack_messages,
    unpack_posted_at,
)
from queueing.storage.redis.scripts import (
    ACCEPT,
    CLEAR,
    DEAD_LETTERS,
    DELETE,
    DELETE_MANY,
    GET,
    OUTLOOK,
    PAGE,
    POP,
    POST,
    PURGE,
    SETTLE,
    STATS,
    Script,
)

KEY_SLACK_MILLISECONDS: Final = 60_000
"""How much longer than asked Redis keeps the record of an Idempotency-Key: it only sweeps."""


class RedisMessages(MessageStore):
    def __init__(self, connection: Connection, announcements: Announcements) -> None:
        self._connection = connection
        self._announcements = announcements
        self._names = connection.names

    def post(
        self,
        queue: QueueRef,
        drafts: Sequence[Draft],
        *,
        client_id: str,
        token: str,
        version: str,
        now: float,
        idempotency: IdempotencyKey | None = None,
    ) -> Posted:
        keys = self._names.queue(queue)
        own = [keys.tokens(token)]
        remembered: tuple[Any, ...] = (b"", 0)
        if idempotency is not None:
            own.append(keys.own(b"key", idempotency.key.encode("utf-8", "surrogatepass")))
            remembered = _record_of(idempotency, token, len(drafts), now)
        ids = tuple([message_id(token, index) for index in range(len(drafts))])
        client = pack_client(client_id)
        messages: list[Any] = []
        delayed = 0
        for id, draft in zip(ids, drafts, strict=True):
            ends = now + draft.ttl
            due: int | bytes = b""
            if draft.delay > 0:
                due, delayed = microseconds(now + draft.delay), delayed + 1
            messages += (pack_id(id), pack_draft(draft, client, now, ends), microseconds(ends), due)
        command, channel, origin = self._announcements.terms(keys)
        announced = b"%b:%d:%d" % (origin, len(drafts) - delayed, delayed)
        arguments = (microseconds(now), pack_id(token), version, keys.ref, keys.name, *remembered)
        first_end = min(messages[2::4])
        first_due = min((due for due in messages[3::4] if due != b""), default=b"")
        bounds = (command, channel, announced, first_end, first_due)
        answer = self._connection.run(POST, keys, *arguments, *bounds, *messages, keys=own)
        if answer[0] == b"done":
            return Posted(ids)
        if answer[0] == b"stale":
            raise StaleSettings(Metadata(answer[1], answer[2].decode()))
        if answer[0] == b"known":
            return _posted_before(answer[1], token)
        assert idempotency is not None
        raise IdempotencyKeyReused(
            f"Idempotency-Key {idempotency.key!r} was used for another body before."
        )

    def get(self, queue: QueueRef, ids: Sequence[str], *, now: float) -> list[Message]:
        wanted = [pack_id(id) for id in dict.fromkeys(ids)]
        if not wanted:
            return []
        return unpack_messages(
            self._connection.run(GET, self._names.queue(queue), *both(now), *wanted)
        )

    def page(
        self,
        queue: QueueRef,
        *,
        after: int,
        limit: int,
        hide_client: str | None,
        include_claimed: bool,
        include_delayed: bool,
        now: float,
    ) -> list[Message]:
        keys = self._names.queue(queue)
        client = b"" if hide_client is None else pack_client(hide_client)
        flags = (int(include_claimed), int(include_delayed), int(hide_client is not None), client)
        messages: list[Message] = []
        rest: int | bytes = after
        while rest != b"" and len(messages) < limit:
            left = limit - len(messages)
            rest, found = self._settled(PAGE, keys, now, *both(now), rest, left, *flags)
            messages += unpack_messages(found)
        return messages

    def delete(self, queue: QueueRef, id: str, *, claim_id: str | None, now: float) -> None:
        claim = b"" if claim_id is None else pack_id(claim_id)
        keys = self._names.queue(queue)
        answer = self._connection.run(DELETE, keys, *both(now), pack_id(id), claim)
        if answer == b"claimed":
            raise MessageIsClaimed(f"Message {id} is under a claim, and none was named.")
        if answer == b"other":
            raise WrongClaim(f"Message {id} is under another claim than {claim_id}.")
        if answer == b"over":
            raise ClaimExpired(f"Claim {claim_id} does not hold message {id}: it is over.")

    def delete_many(
        self, queue: QueueRef, ids: Sequence[str], *, claim_ids: Sequence[str] | None, now: float
    ) -> None:
        if not ids:
            return
        number = -1 if claim_ids is None else len(claim_ids)
        claims = [pack_id(claim) for claim in claim_ids or ()]
        wanted = [pack_id(id) for id in ids]
        keys = self._names.queue(queue)
        arguments = (microseconds(now), number, *claims, *wanted)
        answer = self._connection.run(DELETE_MANY, keys, *arguments)
        if answer == b"other":
            raise WrongClaim("One of the messages is under none of the claims named.")

    def pop(self, queue: QueueRef, limit: int, *, token: str, now: float) -> list[Message]:
        keys = self._names.queue(queue)
        record = [keys.own(b"popped", token.encode())]
        answer: Any = b"again"
        rounds = self._connection.rounds()
        while answer == b"again":
            next(rounds)
            answer = self._connection.run(POP, keys, *both(now), limit, keys=record)
        return unpack_messages(answer)

    def purge(self, queue: QueueRef, *, now: float) -> None:
        keys = self._names.queue(queue)
        token = request_token()  # of our own: the connection may send this twice
        self._connection.run(PURGE, keys, pack_id(token), keys=[keys.tokens(token)])

    def stats(self, queue: QueueRef, *, now: float) -> Stats:
        keys = self._names.queue(queue)
        count, claimed, *ends = self._settled(STATS, keys, now, microseconds(now))
        if not ends:
            return Stats(0, 0)
        oldest, oldest_at, newest, newest_at = ends
        return Stats(
            count - claimed,
            claimed,
            Milestone(unpack_id(oldest), unpack_posted_at(oldest_at)),
            Milestone(unpack_id(newest), unpack_posted_at(newest_at)),
        )

    def outlook(self, queue: QueueRef, *, limit: int, now: float) -> Outlook:
        free, due_at = self._connection.run(OUTLOOK, self._names.queue(queue), microseconds(now))
        return Outlook(min(free, limit), float(due_at) / 1_000_000 if due_at else None)

    def dead_letters(self, queue: QueueRef, *, now: float) -> list[DeadLetter]:
        keys = self._names.queue(queue)
        return unpack_letters(self._connection.run(DEAD_LETTERS, keys, repr(now)))

    def accept_dead_letters(
        self, queue: QueueRef, letters: Sequence[DeadLetter], *, now: float
    ) -> None:
        if not letters:
            return
        keys = self._names.queue(queue)
        arguments: list[Any] = [*both(now), keys.ref, keys.name]
        arguments += [microseconds(now + BURIAL_SECONDS), *self._announcements.terms(keys)]
        for letter in letters:
            arguments += pack_letter(letter)
        self._connection.run(ACCEPT, keys, *arguments, keys=[keys.own(b"burials")])

    def clear_dead_letters(self, queue: QueueRef, burials: Sequence[str], *, now: float) -> None:
        if not burials:
            return
        keys = self._names.queue(queue)
        packed = [burial.encode("utf-8", "surrogatepass") for burial in burials]
        self._connection.run(CLEAR, keys, keys.ref, *packed)

    def _settled(self, script: Script, keys: QueueKeys, now: float, *arguments: Any) -> Any:
        """Run a reading script; bring the queue up to now first, if much is over or due there."""
        answer = self._connection.run(script, keys, *arguments)
        rounds = self._connection.rounds()
        while answer == b"settle":
            next(rounds)
            if not self._connection.run(SETTLE, keys, microseconds(now)):
                answer = self._connection.run(script, keys, *arguments)
        return answer


_KEY: Final = struct.Struct(">dH")


def _record_of(
    idempotency: IdempotencyKey, token: str, number: int, now: float
) -> tuple[bytes, int]:
    """What is kept of the key, and for how many milliseconds."""
    digest = idempotency.digest
    record = _KEY.pack(idempotency.expires_at, len(digest)) + digest + f"{number}:{token}".encode()
    kept_seconds = max(0.0, idempotency.expires_at - now)
    return record, int(kept_seconds * 1000) + KEY_SLACK_MILLISECONDS


def _posted_before(kept: bytes, token: str) -> Posted:
    number, _, first_token = kept.decode().partition(":")
    ids = tuple(message_id(first_token, index) for index in range(int(number)))
    # The same token: this very request, sent again by this driver, and not by the client.
    return Posted(ids, replayed=first_token != token)
