"""Which message was acknowledged and which delivered: a byte each, so that millions fit into memory.

A message is known by its producer and its number, which its body carries. A producer counts from 0.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from queueing.bench.wire import Reply

REFUSED, ACKNOWLEDGED, UNKNOWN = 0, 1, 2  # what became of a post

EXAMPLES = 5  # of lost and doubled messages, to look for in logs


@dataclass(frozen=True)
class Verdict:
    """Numbers of messages, but for `disorder`.

    Delivered: a worker claimed it and its delete was answered with success while the claim lasted.
    Posts and deletes whose outcome nobody knows prove nothing and are counted apart.
    """

    acknowledged: int = 0
    delivered: int = 0  # of those acknowledged, at least once
    lost: int = 0  # acknowledged, and neither delivered nor maybe so
    left: int = 0  # acknowledged, not delivered, and the run was over before the queues were empty
    doubled: int = 0  # delivered more than once
    phantoms: int = 0  # delivered, though the post was refused
    post_unknown: int = 0  # nobody knows whether these were posted
    post_unknown_delivered: int = 0  # of these, they were
    delete_unknown: int = 0  # acknowledged and claimed, but nobody knows whether they were deleted
    late: int = 0  # deletes that were answered after the claim's end: the message may come again
    disorder: int = 0  # times an observer saw a producer's messages in another order, or again
    examples: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not (self.lost or self.doubled or self.phantoms or self.disorder)

    @property
    def complete(self) -> bool:
        return not self.left


class Ledger:
    """What one process knows, and, once merged, all of them."""

    def __init__(self) -> None:
        self._posts: dict[int, bytearray] = {}
        self._deliveries: defaultdict[int, bytearray] = defaultdict(bytearray)
        self._unsure: defaultdict[int, bytearray] = defaultdict(bytearray)
        self.late = 0
        self.disorder = 0

    def begin(self, producer: int) -> int:
        """The number of the producer's next message."""
        return len(self._posts.setdefault(producer, bytearray()))

    def posted(self, producer: int, number: int, reply: Reply) -> None:
        """The outcome of a post of `number` messages, the producer's next."""
        outcome = ACKNOWLEDGED if reply.status == 201 else UNKNOWN if reply.unknown else REFUSED
        self._posts[producer] += bytes((outcome,)) * number

    def deleted(self, producer: int, number: int, *, late: bool) -> None:
        """A claimed message was deleted, and the server said so."""
        if late:
            self.late += 1
            _count(self._unsure[producer], number)
        else:
            _count(self._deliveries[producer], number)

    def maybe_deleted(self, producer: int, number: int) -> None:
        """A claimed message may have been deleted."""
        _count(self._unsure[producer], number)

    def merge(self, other: Ledger) -> None:
        """Add what another process knows."""
        self._posts.update(other._posts)  # a producer lives in one process
        for mine, theirs in (
            (self._deliveries, other._deliveries),
            (self._unsure, other._unsure),
        ):
            for producer, counts in theirs.items():
                mine[producer] = _sum(mine[producer], counts)
        self.late += other.late
        self.disorder += other.disorder

    def verdict(self, *, complete: bool) -> Verdict:
        """`complete`: the queues were empty in the end, so what did not come will never come."""
        seen: Counter[tuple[int, int, bool]] = Counter()  # outcome, deliveries, unsure
        examples: list[str] = []
        for producer in sorted(self._posts.keys() | self._deliveries.keys() | self._unsure.keys()):
            rows = self._rows(producer)
            found = Counter(rows)
            seen += found
            if any(_wrong(row, complete) for row in found) and len(examples) < EXAMPLES:
                examples += [
                    f"producer {producer}, message {number}: {_wrong(row, complete)}"
                    for number, row in enumerate(self._rows(producer))
                    if _wrong(row, complete)
                ][: EXAMPLES - len(examples)]

        def total(outcome: int | None, deliveries: range, unsure: bool | None = None) -> int:
            return sum(
                count
                for row, count in seen.items()
                if outcome in (None, row[0]) and row[1] in deliveries and unsure in (None, row[2])
            )

        none, once_or_more, again = range(1), range(1, 256), range(2, 256)
        missing = total(ACKNOWLEDGED, none, unsure=False)
        return Verdict(
            acknowledged=total(ACKNOWLEDGED, range(256)),
            delivered=total(ACKNOWLEDGED, once_or_more),
            lost=missing if complete else 0,
            left=0 if complete else missing,
            doubled=total(None, again),
            phantoms=total(REFUSED, once_or_more),
            post_unknown=total(UNKNOWN, range(256)),
            post_unknown_delivered=total(UNKNOWN, once_or_more),
            delete_unknown=total(ACKNOWLEDGED, none, unsure=True),
            late=self.late,
            disorder=self.disorder,
            examples=tuple(examples),
        )

    def _rows(self, producer: int) -> zip[tuple[int, int, bool]]:
        posts = bytes(self._posts.get(producer, b""))
        deliveries, unsure = bytes(self._deliveries[producer]), bytes(self._unsure[producer])
        length = max(len(posts), len(deliveries), len(unsure))
        return zip(
            posts.ljust(length, b"\0"),
            deliveries.ljust(length, b"\0"),
            map(bool, unsure.ljust(length, b"\0")),
            strict=True,
        )


def _wrong(row: tuple[int, int, bool], complete: bool) -> str:
    outcome, deliveries, unsure = row
    if deliveries > 1:
        return f"delivered {deliveries} times"
    if complete and outcome == ACKNOWLEDGED and not deliveries and not unsure:
        return "lost"
    return "delivered though refused" if outcome == REFUSED and deliveries else ""


def _count(counts: bytearray, number: int) -> None:
    missing = number + 1 - len(counts)
    if missing > 0:
        counts += bytes(missing)
    if counts[number] < 255:
        counts[number] += 1


def _sum(left: bytearray, right: bytearray) -> bytearray:
    if len(left) < len(right):
        left, right = right, left
    summed = bytearray(left)
    for number, count in enumerate(right):
        if count:
            summed[number] = min(255, summed[number] + count)
    return summed
