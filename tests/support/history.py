"""Decides from what clients asked and were answered whether a queue kept its promises.

A history is the events of one queue, in any order: requests with their answers, when each began and
ended by one clock, and the worker that sent it. What was never answered (`end` is None: its process
was killed, the connection cut) may have happened or not. Bodies are unique: a body names a message.
A history ends with `rest`: a listing of all that is there once everybody has stopped.

Only what no order of the steps could explain is reported: a step happens somewhere between its
beginning and its end, so a message is surely claimed only from the end of its claim's request to the
beginning of the one that ends it.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

KINDS = {
    "lost": "acknowledged, never removed, and not there in the end",
    "doubled": "one message under two ids, or popped twice",
    "invented": "nobody posted this, or not under this id",
    "held twice": "taken while another live claim held it",
    "claim broken": "a live claim was refused what it holds",
    "fence": "a later claim has no greater fence",
    "out of order": "later messages came before earlier ones",
    "passed over": "a free message was left while later ones, or none, were taken",
    "resurrected": "seen after it was surely removed",
    "marker gap": "a reader's page has left out a message that was there",
    "marker repeat": "a reader's page has a message that does not follow its marker",
    "batch split": "only some of the messages of one post are there",
}


class Seen(NamedTuple):
    """A message in an answer."""

    id: str
    sequence: int
    body: bytes


class Event(NamedTuple):
    """One request. `verb`: post, claim, renew, release, delete, pop, page (with all that is claimed
    or delayed) or rest. A `delete` that was answered with a refusal has `refused`."""

    worker: str
    verb: str
    start: float
    end: float | None = None
    bodies: tuple[bytes, ...] = ()  # post: the batch
    ids: tuple[str, ...] = ()  # post: the answer; delete: what is to be deleted
    messages: tuple[Seen, ...] = ()  # claim, pop, page, rest: the answer
    claim: str | None = None  # of a claim, renewal, release; delete: the claim named, if any
    fence: int = 0
    now: float = 0.0  # claim, renew, delete, pop: the time that the request was made for, and
    ttl: int = 0  # for how long
    spread: float = 0.0  # it may have been made for so many seconds later
    after: int = 0  # page: the marker
    limit: int = 0  # claim, pop, page
    refused: bool = False


class Finding(NamedTuple):
    kind: str  # one of KINDS
    what: str


class Lease(NamedTuple):
    """A message under a claim, or popped: then it never ends."""

    event: Event
    expires: float  # by the `now` of requests
    ended: float  # when the request that ended it before that began


judged = 0
"""Requests that this process had `check` judge so far."""


def check(history: Iterable[Event]) -> list[Finding]:
    """Everything that is wrong with the history of one queue; nothing if all promises were kept."""
    global judged
    events = list(history)
    judged += len(events)
    return list(Checker(events).findings())


class Checker:
    def __init__(self, history: Sequence[Event]) -> None:
        by_verb: defaultdict[str, list[Event]] = defaultdict(list)
        for event in sorted(history, key=lambda event: event.start):
            by_verb[event.verb].append(event)
        self.posts = by_verb["post"]
        self.claims = [event for event in by_verb["claim"] if event.end is not None]
        self.pops = [event for event in by_verb["pop"] if event.end is not None]
        self.pages = [event for event in by_verb["page"] if event.end is not None]
        self.rest = by_verb["rest"]
        self.deletes = by_verb["delete"]
        self.releases = by_verb["release"]
        self.renewals = by_verb["renew"]
        self.unanswered_pops = [event for event in by_verb["pop"] if event.end is None]
        self.unanswered_takes = self.unanswered_pops + [
            event for event in by_verb["claim"] if event.end is None
        ]
        self.answers = self.claims + self.pops + self.pages + self.rest
        self.post_of = {body: post for post in self.posts for body in post.bodies}
        self.seen: dict[bytes, Seen] = {}
        for event in self.answers:
            for message in event.messages:
                self.seen.setdefault(message.body, message)
        self._note_removals()

    def _note_removals(self) -> None:
        """When each message may first have been removed, and when it surely was."""
        self.gone_from: defaultdict[str, float] = defaultdict(lambda: math.inf)
        self.gone_by: defaultdict[str, float] = defaultdict(lambda: math.inf)
        removals = [(e, e.ids) for e in self.deletes if not e.refused]
        removals += [(e, tuple(message.id for message in e.messages)) for e in self.pops]
        for event, ids in removals:
            for id in ids:
                self.gone_from[id] = min(self.gone_from[id], event.start)
                if event.end is not None:
                    self.gone_by[id] = min(self.gone_by[id], event.end)
        self.any_gone_from = min((e.start for e in self.unanswered_pops), default=math.inf)

    def findings(self) -> Iterator[Finding]:
        yield from self.identities()
        yield from self.losses()
        yield from self.resurrections()
        yield from self.holds()
        yield from self.fences()
        yield from self.orders()
        yield from self.passed_over()
        yield from self.marker_readers()

    def identities(self) -> Iterator[Finding]:
        """Each body has one id and one sequence: those of its post's answer."""
        for event in self.answers:
            for message in event.messages:
                first = self.seen[message.body]
                if message.id != first.id:
                    yield Finding("doubled", f"{message.body!r} is {first.id} and {message.id}")
                elif message.sequence != first.sequence:
                    yield Finding("out of order", f"{message} had sequence {first.sequence}")
                post = self.post_of.get(message.body)
                if post is None:
                    yield Finding("invented", f"{message}")
                elif post.end is not None:
                    expected = post.ids[post.bodies.index(message.body)]
                    if message.id != expected:
                        yield Finding("invented", f"{message} was posted as {expected}")
        popped = Counter(message.id for event in self.pops for message in event.messages)
        for id, times in popped.items():
            if times > 1:
                yield Finding("doubled", f"{id} was popped {times} times")
        for event in self.answers:
            for id, times in Counter(message.id for message in event.messages).items():
                if times > 1:
                    yield Finding("doubled", f"{id} is {times} times in one {event.verb}")

    def losses(self) -> Iterator[Finding]:
        """What was acknowledged is there or was removed; of one post there are all or none."""
        there = {message.body for event in self.rest for message in event.messages}
        pardon = sum(event.limit for event in self.unanswered_pops)
        missing: list[bytes] = []
        for post in self.posts:
            known = [body for body in post.bodies if body in self.seen]
            ids = dict(zip(post.bodies, post.ids, strict=True)) if post.end is not None else {}
            gone = [
                body
                for body in post.bodies
                if body not in there
                and self._id_of(body, ids) not in self.gone_from
                and (post.end is not None or known)
            ]
            if gone and len(gone) < len(post.bodies) and len(gone) > pardon:
                yield Finding("batch split", f"{gone} of {post.bodies} of {post.worker}")
            if post.end is not None:
                missing += gone
        if len(missing) > pardon:
            yield Finding("lost", f"{len(missing)}, {pardon} may be popped: {missing[:5]}")

    def _id_of(self, body: bytes, ids: dict[bytes, str]) -> str | None:
        seen = self.seen.get(body)
        return seen.id if seen else ids.get(body)

    def resurrections(self) -> Iterator[Finding]:
        for event in self.answers:
            for message in event.messages:
                if event.start > self.gone_by[message.id]:
                    yield Finding("resurrected", f"{message} in a {event.verb} of {event.worker}")

    def holds(self) -> Iterator[Finding]:
        """Of two that took one message, one must have been over for the other to begin."""
        ended: defaultdict[str | None, float] = defaultdict(lambda: math.inf)
        for event in self.releases:
            ended[event.claim] = min(ended[event.claim], event.start)
        expires: defaultdict[str | None, float] = defaultdict(float)
        for event in self.claims + self.renewals:
            expires[event.claim] = max(expires[event.claim], event.now + event.ttl)
        leases: defaultdict[str, list[Lease]] = defaultdict(list)
        for event in self.claims + self.pops:
            for message in event.messages:
                popped = event.verb == "pop"
                leases[message.id].append(
                    Lease(
                        event,
                        math.inf if popped else expires[event.claim],
                        math.inf if popped else ended[event.claim],
                    )
                )
        for id, takers in leases.items():
            for index, one in enumerate(takers):
                for other in takers[index + 1 :]:
                    if not self._follows(one, other) and not self._follows(other, one):
                        workers = f"{one.event.worker} and {other.event.worker}"
                        yield Finding("held twice", f"{id} by {workers}")
        for event in self.deletes:
            live = event.end is not None and event.now + event.spread < expires[event.claim]
            if event.refused and event.claim and live and event.start < ended[event.claim]:
                yield Finding("claim broken", f"{event.claim} could not delete {event.ids}")

    def _follows(self, first: Lease, then: Lease) -> bool:
        assert then.event.end is not None
        latest = then.event.now + then.event.spread
        over = first.ended <= then.event.end or latest >= first.expires
        if first.event.verb == then.event.verb == "claim":
            over = over and first.event.fence < then.event.fence
        return over and first.event.start <= then.event.end

    def fences(self) -> Iterator[Finding]:
        made = [event for event in self.claims if event.claim]
        for fence, times in Counter(event.fence for event in made).items():
            if times > 1:
                yield Finding("fence", f"{times} claims have {fence}")
        before = Latest((event.end or math.inf, event.fence) for event in made)
        for event in made:
            if before.highest(event.start) > event.fence:
                yield Finding("fence", f"{event.fence} of {event.worker} came after a greater one")

    def orders(self) -> Iterator[Finding]:
        """Answers are in order; a post that began when another was answered comes behind it."""
        for event in self.answers:
            sequences = [message.sequence for message in event.messages]
            if sequences != sorted(sequences):
                yield Finding("out of order", f"a {event.verb} of {event.worker}: {sequences}")
        known = [
            (post, [self.seen[body].sequence for body in post.bodies if body in self.seen])
            for post in self.posts
        ]
        known = [(post, sequences) for post, sequences in known if sequences]
        before = Latest((post.end or math.inf, max(sequences)) for post, sequences in known)
        for post, sequences in known:
            if sequences != sorted(sequences):
                yield Finding("out of order", f"the batch {post.bodies} is stored as {sequences}")
            if before.highest(post.start) > min(sequences):
                yield Finding("out of order", f"{post.bodies} lies before what was there already")

    def passed_over(self) -> Iterator[Finding]:
        """No claim or pop leaves a message that is free from its beginning to its end."""
        stop = min((event.start for event in self.unanswered_takes), default=math.inf)
        timeline: list[tuple[float, int, int, float, Event | None]] = []
        for since, taken, sequence in self._surely_free():
            until = min(taken, stop)
            if since < until:
                timeline.append((until, 0, sequence, since, None))
                timeline.append((since, 2, sequence, since, None))
        for event in self.claims + self.pops:
            assert event.end is not None
            full = len(event.messages) == event.limit
            reach = max((m.sequence for m in event.messages), default=0) if full else 2**63
            timeline.append((event.end, 1, reach, event.start, event))
        free: list[tuple[int, float]] = []
        for _, what, sequence, since, taking in sorted(timeline, key=lambda entry: entry[:4]):
            if what == 2:
                bisect.insort(free, (sequence, since))
            elif what == 0:
                del free[bisect.bisect_left(free, (sequence, since))]
            else:
                assert taking is not None
                for left, began in free:
                    if left >= sequence:
                        break
                    if began < since:
                        what_else = [message.sequence for message in taking.messages]
                        yield Finding("passed over", f"{left}, when {what_else} were taken")

    def _surely_free(self) -> Iterator[tuple[float, float, int]]:
        """(since, until, sequence): when each message was surely there and under no claim."""
        takes: defaultdict[str, list[Event]] = defaultdict(list)
        for event in self.claims + self.pops:
            for message in event.messages:
                takes[message.id].append(event)
        released: defaultdict[str | None, float] = defaultdict(lambda: math.inf)
        for event in self.releases:
            if event.end is not None:
                released[event.claim] = min(released[event.claim], event.end)
        for body, message in self.seen.items():
            post = self.post_of.get(body)
            if post is None or post.end is None:
                continue
            since = post.end
            for event in sorted(takes[message.id], key=lambda event: event.start):
                yield since, min(event.start, self.gone_from[message.id]), message.sequence
                since = max(since, released[event.claim] if event.claim else math.inf)
            yield since, self.gone_from[message.id], message.sequence

    def marker_readers(self) -> Iterator[Finding]:
        """A page has all that follows its marker and was there, up to its last or to the end."""
        known = sorted((message.sequence, body) for body, message in self.seen.items())
        answered = Latest(
            (self.post_of[body].end or math.inf, sequence)
            for sequence, body in known
            if body in self.post_of
        )
        for page in self.pages:
            assert page.end is not None
            shown = {message.body for message in page.messages}
            for message in page.messages:
                if message.sequence <= page.after:
                    yield Finding("marker repeat", f"{message} after {page.after}")
            last = max((message.sequence for message in page.messages), default=page.after)
            cut = len(page.messages) == page.limit
            reach = last if cut else max(last, answered.highest(page.start))
            begin = bisect.bisect_right(known, (page.after, b"\xff" * 64))
            for sequence, body in known[begin:]:
                if sequence > reach:
                    break
                post = self.post_of.get(body)
                there = sequence <= last or (post and (post.end or math.inf) < page.start)
                if there and body not in shown and self._surely_there(body, page.end):
                    yield Finding("marker gap", f"{body!r} ({sequence}) after {page.after}")
            if not cut:
                yield from self._split(page, shown, last)

    def _split(self, page: Event, shown: set[bytes], last: int) -> Iterator[Finding]:
        assert page.end is not None
        for body in shown:
            post = self.post_of.get(body)
            for other in post.bodies if post else ():
                seen = self.seen.get(other)
                late = other not in shown and seen and seen.sequence > last
                if late and self._surely_there(other, page.end):
                    yield Finding("batch split", f"{page.worker} saw {body!r} without {other!r}")

    def _surely_there(self, body: bytes, until: float) -> bool:
        return min(self.gone_from[self.seen[body].id], self.any_gone_from) > until


class Latest:
    """The highest of the numbers that were known before a time."""

    def __init__(self, numbers: Iterable[tuple[float, int]]) -> None:
        self._times: list[float] = []
        self._highest: list[int] = []
        for time, number in sorted(numbers):
            self._times.append(time)
            self._highest.append(max(number, self._highest[-1]) if self._highest else number)

    def highest(self, before: float) -> int:
        """0 when there is none."""
        index = bisect.bisect_left(self._times, before)
        return self._highest[index - 1] if index else 0
