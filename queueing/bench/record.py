"""What a process counts while it works, and what all of them counted together."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from queueing.bench.histogram import Histogram
from queueing.bench.wire import UNANSWERED, UNSENT, Reply


@dataclass
class Record:
    """`times` are of the requests that succeeded, by operation; `errors` those that did not, with the
    reason: a status, `no answer` or `not connected`."""

    times: defaultdict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    posted: int = 0  # messages, acknowledged
    delivered: int = 0  # messages, deleted with success
    listed: int = 0  # messages, shown to observers
    seconds: float = 0.0  # that it took
    busy_seconds: float = 0.0  # of these, not waiting for the server
    cpu_seconds: float = 0.0
    given_up: int = 0  # clients that could not connect any more
    unwaited: int = 0  # waiting claims that the server answered at once with nothing

    def add(self, operation: str, reply: Reply, nanoseconds: int) -> None:
        if 200 <= reply.status < 300:
            self.times[operation].add(nanoseconds)
        else:
            self.errors[operation, reason(reply)] += 1

    def merge(self, other: Record) -> None:
        """Add what another process counted at the same time."""
        for operation, histogram in other.times.items():
            self.times[operation].merge(histogram)
        self.errors += other.errors
        self.posted += other.posted
        self.delivered += other.delivered
        self.listed += other.listed
        self.seconds = max(self.seconds, other.seconds)
        self.busy_seconds += other.busy_seconds
        self.cpu_seconds += other.cpu_seconds
        self.given_up += other.given_up
        self.unwaited += other.unwaited


def reason(reply: Reply) -> str:
    return {UNANSWERED: "no answer", UNSENT: "not connected"}.get(reply.status, str(reply.status))
