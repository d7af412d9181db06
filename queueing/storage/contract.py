"""What every store promises. The docstrings are the specification; `tests/contract/` holds drivers to them.

Rules for every verb
--------------------
*Atomic.* A verb is one step: all of it happens, or nothing does, for every reader and every crash.

*Time is an argument.* `now` is epoch seconds. No driver reads a clock to decide anything. Native
time-outs of an engine may sweep what is over; what a verb answers never depends on them.

*Expired is gone.* A message exists while `now < expires_at`, a claim while
`now < claimed_at + ttl`. What is past that is never shown, counted, claimed, popped or deleted
"successfully", whether or not it has been swept.

*Free* means: unexpired, not delayed past `now`, under no claim that still exists. Waiting messages
(delayed, claimed) live apart from free ones, so that no step reads past what others hold. A step
first brings back those whose wait is over, the longest over first; at least `DUE_PER_STEP` of them,
so order is exact unless more than that became due at once since anybody claimed.

*Order.* Each message gets a `sequence` in the posting step: `max(last of the queue + 1, now in µs)`.
It grows strictly within its queue, also across deleting and re-creating it as far as `now` grows,
and it becomes visible in order: a reader who has seen a sequence will never see a smaller one
appear later. Fences are numbers of the same kind, per queue, apart from sequences. A queue that is
made may begin at a higher number, so that a store need not remember each queue that is gone; and a
claim that took nothing may have used up a fence.

*Retries.* `token` names the request (`models.request_token`). A verb that is done again with its
token within a minute answers as at first and changes nothing: drivers whose engine may have done
what it did not answer send the same step again. The verbs without a token may be repeated as they
are. A driver that never sends a step twice needs no record of tokens: see `Storage.resends`.

*Settings.* A step that depends on a queue's settings carries the `version` of the metadata that
it was made for ("" for none). If the queue's is another, the step raises `StaleSettings` with the
present metadata and does nothing.

*Missing queues* are empty queues: reading, claiming and deleting there finds nothing and creates
nothing. Only `QueueStore.create`, `MessageStore.post` and `accept_dead_letters` make a queue.

*Isolation.* Everything is found through its `QueueRef`: an id of another queue does not exist.

*Cost.* No verb's cost grows with the depth of the queue, with what is claimed, delayed or expired
in it, or with the number of queues.

Every verb may raise `StorageUnavailable`: the engine did not answer, or has no space or leader.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from queueing.core.models import (
    Claim,
    Claimed,
    ClaimTerms,
    DeadLetter,
    Draft,
    IdempotencyKey,
    Message,
    Metadata,
    Outlook,
    Posted,
    QueueEntry,
    QueueRef,
    Stats,
)

DUE_PER_STEP = 1000
"""How many messages whose wait is over a claiming step brings back, at least."""

RETRY_SECONDS = 60
"""How long a token is remembered, where anything but the result itself remembers it."""

BURIAL_SECONDS = 86_400
"""How long a queue remembers which burials it has accepted."""

DEAD_LETTERS_PER_STEP = 100
"""How many dead letters one claim step reports, and one forward moves, at most."""

UNKNOWN: Final = -1
"""Of an announcement: messages got free perhaps, nobody knows how many."""


class QueueStore(ABC):
    """Queues and their metadata."""

    @abstractmethod
    def create(self, queue: QueueRef, document: bytes, *, token: str, now: float) -> bool:
        """Make the queue with this metadata; True if it was made, False if it was there (and is unchanged)."""

    @abstractmethod
    def fetch(self, queue: QueueRef) -> Metadata | None:
        """The queue's metadata, None if there is no such queue."""

    @abstractmethod
    def replace(
        self, queue: QueueRef, document: bytes, *, expected: str, token: str, now: float
    ) -> None:
        """Put `document` in the place of the metadata of version `expected`.

        :raises QueueNotFound: there is no such queue
        :raises MetadataChanged: the metadata is of another version
        """

    @abstractmethod
    def delete(self, queue: QueueRef, *, now: float) -> None:
        """Remove the queue: metadata, messages, claims; no matter if it is missing.

        Kept: its dead pile (those messages have left the queue already), what it remembers of
        idempotency keys and burials, and whatever makes sequences and fences grow further.
        """

    @abstractmethod
    def page(self, project: str, *, after: str, limit: int) -> list[QueueEntry]:
        """Up to `limit` queues of the project with names greater than `after`, in byte order."""

    @abstractmethod
    def count(self, project: str) -> int:
        """How many queues the project has."""


class MessageStore(ABC):
    """Messages of a queue, in order."""

    @abstractmethod
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
        """Append the drafts, at least one, in their order, all or none; make the queue if it is missing.

        Ids are `models.message_id(token, index)`. A message with a delay is not free before
        `now + delay`; its lifetime counts from `now`.

        With `idempotency`: if the queue remembers the key (until the `expires_at` it was given
        then), nothing is posted, whatever `version` says; the first answer comes back with
        `replayed` set. Keys are remembered in the step that posts, per queue, and survive the
        queue's purge and deletion.

        :raises StaleSettings: the queue's settings are of another version (a missing queue's: "")
        :raises IdempotencyKeyReused: the key is remembered with another digest
        """

    @abstractmethod
    def get(self, queue: QueueRef, ids: Sequence[str], *, now: float) -> list[Message]:
        """Those of the messages that exist, in the order of `ids`, each once; free or not."""

    @abstractmethod
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
        """Up to `limit` messages with a sequence greater than `after` (0: from the start), in order.

        Left out before the limit counts: those posted by `hide_client` (None: hide nothing),
        those under a claim, those delayed. Changes nothing.
        """

    @abstractmethod
    def delete(self, queue: QueueRef, id: str, *, claim_id: str | None, now: float) -> None:
        """Delete one message; no matter if it is missing, whatever `claim_id` says.

        :raises MessageIsClaimed: it is under a claim and `claim_id` is None
        :raises WrongClaim: it is under another claim, and the claim named exists in this queue
        :raises ClaimExpired: a claim is named that does not exist in this queue, or the message is under none
        """

    @abstractmethod
    def delete_many(
        self, queue: QueueRef, ids: Sequence[str], *, claim_ids: Sequence[str] | None, now: float
    ) -> None:
        """Delete those of the messages that exist, claimed or not.

        With `claim_ids`: only if every one that exists is under one of these claims.

        :raises WrongClaim: one is not; nothing was deleted
        """

    @abstractmethod
    def pop(self, queue: QueueRef, limit: int, *, token: str, now: float) -> list[Message]:
        """Delete up to `limit` of the oldest free messages and return them, in order.

        A repeat with the token returns them again; it is the only copy there is.
        """

    @abstractmethod
    def purge(self, queue: QueueRef, *, now: float) -> None:
        """Delete every message of the queue, whatever its state. Claims stay, empty."""

    @abstractmethod
    def stats(self, queue: QueueRef, *, now: float) -> Stats:
        """Exact counts at `now`, oldest and newest message by sequence."""

    @abstractmethod
    def outlook(self, queue: QueueRef, *, limit: int, now: float) -> Outlook:
        """How many messages are free, up to `limit`, and when the next one gets free. Changes nothing.

        For those who wait, so it may err for the worse: messages that are expired, purged or of a
        deleted queue may count until they are swept, but none that counts is ever left out. So
        `free` may be too high, never too low; `due_at` too early, never too late, always after `now`.
        """

    @abstractmethod
    def dead_letters(self, queue: QueueRef, *, now: float) -> list[DeadLetter]:
        """Up to `DEAD_LETTERS_PER_STEP` unexpired letters on the queue's dead pile, oldest first."""

    @abstractmethod
    def accept_dead_letters(
        self, queue: QueueRef, letters: Sequence[DeadLetter], *, now: float
    ) -> None:
        """Append to `queue`, their target, those letters whose burial it does not remember.

        They keep id, body, `posted_at`, client, claim count, checksum, and have the `ttl` and `expires_at`
        that the letter's message says; they get sequences of this queue and are free. The queue is
        made if it is missing. Burials are remembered in the same step for `BURIAL_SECONDS`.
        A letter whose id is taken in this queue by a message that exists is dropped.
        """

    @abstractmethod
    def clear_dead_letters(self, queue: QueueRef, burials: Sequence[str], *, now: float) -> None:
        """Take these burials off the queue's dead pile: their target has accepted them."""


class ClaimStore(ABC):
    """Claims: a set of messages hidden from other consumers for a time."""

    @abstractmethod
    def claim(
        self, queue: QueueRef, terms: ClaimTerms, *, token: str, version: str, now: float
    ) -> Claimed:
        """Claim up to `terms.limit` of the oldest free messages, under a claim whose id is `token`.

        With `terms.dead_letter`: a free message whose claim count has reached `max_claims` is
        buried instead: it leaves the queue and lies on the queue's dead pile from then on (its
        lifetime becomes the rule's, if that has one, counted from `now`; a pile does not stop it),
        and the step goes on to the next, burying at most `DEAD_LETTERS_PER_STEP`, and nothing behind
        what it claims last when the claim is full. The count of every message claimed under such
        a rule grows by one; without a rule it stays.

        A message that would expire before the claim does lives until `now + ttl + grace`
        from now on, and that sum becomes its `ttl`.

        `Claimed.claim` is None when nothing was claimed, and then no claim exists.
        `Claimed.dead_letters` are those on the pile after the step, as `dead_letters` gives them,
        whoever buried them: so an interrupted forward is noticed by whoever claims next.

        :raises StaleSettings: the queue's settings are of another version. Never for a missing queue
        """

    @abstractmethod
    def get(self, queue: QueueRef, claim_id: str, *, now: float) -> Claim:
        """The claim and the messages still under it, in order; there may be none left.

        :raises ClaimNotFound: it never was, was released, or is over
        """

    @abstractmethod
    def renew(self, queue: QueueRef, claim_id: str, terms: ClaimTerms, *, now: float) -> None:
        """Start the claim's time again, with `terms.ttl`; lifetimes of its messages as in `claim`.

        :raises ClaimNotFound: it never was, was released, or is over
        """

    @abstractmethod
    def release(self, queue: QueueRef, claim_id: str, *, now: float) -> None:
        """End the claim: its messages are free at once, at their old places. No matter if it is missing."""


class Connections(NamedTuple):
    """Connections of this process to the engine, at some moment."""

    in_use: int
    idle: int


class Storage(ABC):
    """One open store. Threads share it; a forked process opens its own."""

    queues: QueueStore
    messages: MessageStore
    claims: ClaimStore

    resends: bool = False
    """Whether this driver, or the client library below it, may send one step to the engine twice.
    If so a repeat is told by its token, also when what the step made is gone again by then.
    """

    on_reconnect: Callable[[], None] | None = None
    """Called by the driver, from any thread, also from within `time`, when it has reached an engine
    again after it had lost it: another server may answer now, whose clock is another. May be called
    more often than that; returns at once.
    """

    @abstractmethod
    def time(self) -> float:
        """The store's clock, epoch seconds."""

    @abstractmethod
    def ping(self) -> None:
        """Return if the store answers.

        :raises StorageUnavailable: it does not
        """

    @abstractmethod
    def durability(self) -> Mapping[str, str | int | bool]:
        """What the store itself may lose, as facts: the engine's name and version under `engine`, a
        sentence under `promise`, and the engine's own settings that decide it under their own names.
        """

    def connections(self) -> Connections | None:
        """How many there are, without asking the engine; None: this driver does not tell."""
        return None

    @abstractmethod
    def collect(self, *, now: float, limit: int) -> int:
        """Sweep up to about `limit` things that are over: messages, claims, idempotency keys, burials.

        Returns how many were swept; less than `limit` means that nothing is left for now, or that
        looking took as long as a request may. Never needed for an answer to be right, only for space;
        cheap enough to be called every second.
        """

    @abstractmethod
    def piles(self, *, limit: int) -> list[QueueRef]:
        """Up to `limit` queues with a dead pile that nobody has cleared: forwards that were interrupted."""

    @abstractmethod
    def close(self) -> None:
        """Give back connections; calling it twice is fine."""


class Announces(ABC):
    """A power that a storage may have: telling this process what others do to its queues.

    For those who wait for messages. A storage without it is asked for the `outlook` of each queue
    that somebody waits at, again and again. Only such queues are followed, so that who does not
    wait has no cost, and nobody has more of it than a step more per post.

    An announcement says that a step of another open store has made messages free: posted, released,
    accepted as dead letters. Messages that get free by the time alone are not announced. Nor is what
    this open store does itself: who waits here hears of it without the engine. Announcements may
    be missed and may be false; who waits looks at times by himself.
    """

    @abstractmethod
    def listen(self, hear: Callable[[QueueRef, int], None]) -> None:
        """Say once, before anything is followed, who is to hear.

        `hear(queue, count)` may be called from any thread, returns soon and raises nothing. `count`
        is how many messages got free in one step; 0 if none did, but `due_at` of the outlook may
        be earlier than before (a post with a delay); `UNKNOWN` if that is not known: after
        announcements may have got lost, for example, as when a connection was made anew. A step
        that did both, as a post of which some are delayed, is announced twice.
        """

    @abstractmethod
    def follow(self, queue: QueueRef) -> bool:
        """Hear of this queue from now on; there may be no such queue yet.

        True: what any step does that begins after this has returned will be announced. False: it
        can not be just now, so who waits has to look, and to ask for this again later.
        Following twice is as following once.
        """

    @abstractmethod
    def unfollow(self, queue: QueueRef) -> None:
        """Hear of this queue no more; soon, not at once."""
