"""Clients that post, claim, delete, release, pop and read, and note all that they ask and are told.

Each lane is a queue with one poster, so that the order of its messages is known: message n is the nth
that was posted. A poster with an Idempotency-Key repeats what was not answered until it is; one without
goes on in another queue, since nobody knows whether and when that post will be done. Nothing else is
ever repeated, so every request that fails is one that a client saw fail.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from uuid import uuid4

import msgspec

from queueing.bench.wire import UNANSWERED, UNSENT, Reply
from tests.support.history import Event, Finding, Seen, check
from tests.torture.talk import Talk

LANES: Final = 8
BATCH: Final = 20
CLAIM_TTL: Final = 60  # seconds; the shortest there is
REST_PAGE: Final = 1000
RATE: Final = 2400  # messages per second that are posted, where the machine gives it

CLOCKS_SECONDS: Final = 1.0
"""A node's idea of the store's time may be off by so much: as it took to ask for it, at most."""

PAUSE_SECONDS: Final = 0.1
"""Before a client goes on whose request failed."""

MARKER = re.compile(rb"marker=([0-9a-f]+-[0-9a-f]{16})")
FENCE = re.compile(rb"\r\nclaim-fence:[ \t]*(\d+)", re.IGNORECASE)
ALL = f"limit={REST_PAGE}&echo=true&include_claimed=true&include_delayed=true"


class Shown(msgspec.Struct):
    id: str
    body: str


class Listing(msgspec.Struct):
    messages: list[Shown]


class Posted(msgspec.Struct):
    resources: list[str]


class Failure(NamedTuple):
    """A request that a client saw fail. Times are of the monotonic clock."""

    start: float
    end: float
    what: str  # the method, and the status or what came instead


class Lane:
    """A queue at a time; whoever works on it asks for its name each time."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._generation = 0
        self.queue = ""
        self.turn_to_the_next_queue()

    def turn_to_the_next_queue(self) -> None:
        self._generation += 1
        self.queue = f"{self._name}-{self._generation}"
        self.posted = 0


class Load:
    """Runs from `start` to `stop`. `url` is one of those that clients take in turn."""

    def __init__(self, urls: Sequence[str], *, lanes: int = LANES, rate: float = RATE) -> None:
        self._urls = urls
        self._interval = BATCH * lanes / rate
        self._lanes = [Lane(f"lane{number}") for number in range(lanes)]
        self._stop = threading.Event()
        self._stopped_at = 0.0
        self._started_at = time.monotonic()
        self._counts: Counter[str] = Counter()
        self.failures: list[Failure] = []
        self.wrong: list[str] = []
        """Answers that no client may get, whatever is done to the nodes."""
        self.errors: list[BaseException] = []
        self.history: defaultdict[str, list[Event]] = defaultdict(list)
        self._threads: list[threading.Thread] = []
        names = itertools.count()
        for lane in self._lanes:
            number = next(names)
            self._add(Poster(self, f"poster{number}", lane, keyed=number % 2 == 0))
            if number == lanes - 1:
                self._add(Popper(self, f"popper{number}", lane))
            else:
                self._add(Worker(self, f"worker{number}", lane, waits=number % 3 == 0))
        for number, lane in enumerate(self._lanes[:2]):
            self._add(Reader(self, f"reader{number}", lane))

    def _add(self, client: Client) -> None:
        self._threads.append(
            threading.Thread(target=self._run, args=(client,), name=client.name, daemon=True)
        )

    def _run(self, client: Client) -> None:
        try:
            while not self._stop.is_set():
                client.turn()
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            client.talk.close()

    def start(self) -> None:
        self._started_at = time.monotonic()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Return once nobody asks any more."""
        self._stop.set()
        self._stopped_at = self._stopped_at or time.monotonic()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    def wait(self, seconds: float) -> bool:
        """True if it is to stop meanwhile."""
        return self._stop.wait(seconds)

    @property
    def seconds(self) -> float:
        return (self._stopped_at or time.monotonic()) - self._started_at

    @property
    def operations(self) -> int:
        """Requests that were answered."""
        return self._counts["answered"]

    @property
    def posted(self) -> int:
        """Messages that were acknowledged."""
        return self._counts["posted"]

    @property
    def taken(self) -> int:
        """Messages that were deleted under a claim, or popped."""
        return self._counts["taken"]

    def url(self) -> str:
        return random.choice(self._urls)

    def count(self, what: str, number: int = 1) -> None:
        self._counts[what] += number  # may lose one now and then: it is for display and rates

    # The verdict

    def findings(self) -> list[tuple[str, Finding]]:
        """All that is wrong with what was seen, once all that is left was listed: queue and finding."""
        talk = Talk(self.url())
        found = []
        for queue, events in self.history.items():
            rest = self._rest(talk, queue)
            found += [(queue, finding) for finding in check([*events, rest])]
        talk.close()
        return found

    def _rest(self, talk: Talk, queue: str) -> Event:
        start = time.monotonic()
        path = f"/v2/queues/{queue}/messages?{ALL}"
        marker = ""
        messages: list[Seen] = []
        deadline = start + 60
        while True:
            reply = talk.ask("GET", path + marker)
            if reply.status != 200:
                assert time.monotonic() < deadline, f"the rest of {queue}: {reply}"
                time.sleep(PAUSE_SECONDS)
                continue
            page = seen(reply)
            messages += page
            if len(page) < REST_PAGE:
                return Event("rest", "rest", start, time.monotonic(), messages=tuple(messages))
            marker = "&marker=" + marker_of(reply)


class Client:
    """One that does one thing again and again, on one lane, over one connection."""

    def __init__(self, load: Load, name: str, lane: Lane, talk: Talk | None = None) -> None:
        self.load = load
        self.name = name
        self.lane = lane
        self.talk = talk or Talk(load.url())
        self.random = random.Random(name)

    def turn(self) -> None:
        raise NotImplementedError

    def ask(
        self, event: Event, queue: str, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[Event, Reply]:
        """Ask once. The event has an end if the outcome is known."""
        data = None if body is None else json.dumps(body).encode()
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        start, now = time.monotonic(), time.time()
        reply = self.talk.ask(method, f"/v2/queues/{queue}{path}", data, named)
        end = time.monotonic()
        spread = end - start + CLOCKS_SECONDS
        event = event._replace(start=event.start or start, now=now, spread=spread)
        if reply.status in (UNSENT, UNANSWERED) or reply.status >= 500:
            what = {UNSENT: "no connection", UNANSWERED: "no answer"}.get(reply.status)
            self.load.failures.append(Failure(start, end, f"{method} {what or reply.status}"))
            self.load.wait(PAUSE_SECONDS)
            return event, reply
        self.load.count("answered")
        return event._replace(end=end), reply

    def note(self, queue: str, event: Event) -> None:
        self.load.history[queue].append(event)

    def expect(self, reply: Reply, *statuses: int) -> bool:
        """Whether the outcome is known. An answer that is none of these is one too many."""
        if reply.unknown or reply.status == UNSENT:
            return False
        if reply.status not in statuses:
            text = f"{self.name}: {reply.status} {reply.body[:300].decode(errors='replace')}"
            self.load.wrong.append(text)
            return False
        return True


class Poster(Client):
    def __init__(
        self, load: Load, name: str, lane: Lane, talk: Talk | None = None, *, keyed: bool = False
    ) -> None:
        super().__init__(load, name, lane, talk)
        self._keyed = keyed
        self._next = 0.0

    def turn(self) -> None:
        queue = self.lane.queue
        first = self.lane.posted + 1
        bodies = [f"{number} of {queue} {'.' * 60}" for number in range(first, first + BATCH)]
        document = {"messages": [{"ttl": 3600, "body": body} for body in bodies]}
        headers = {"Idempotency_Key": uuid4().hex} if self._keyed else {}
        event = Event(self.name, "post", 0.0, bodies=tuple(body.encode() for body in bodies))
        while True:
            event, reply = self.ask(event, queue, "POST", "/messages", document, **headers)
            if self.expect(reply, 201):
                paths = msgspec.json.decode(reply.body, type=Posted).resources
                ids = tuple(path.rpartition("/")[2] for path in paths)
                self.note(queue, event._replace(ids=ids))
                self.lane.posted += BATCH
                self.load.count("posted", BATCH)
                break
            certain = reply.status == UNSENT or not reply.unknown
            if (certain or self._keyed) and not self.load.is_stopping:
                continue
            if not certain:
                self.note(queue, event)
                self.lane.turn_to_the_next_queue()
            break
        self._keep_pace()

    def _keep_pace(self) -> None:
        now = time.monotonic()
        # Who fell behind makes up for a second of it at most.
        self._next = max(self._next + self.load._interval, now - 1)
        if self._next > now:
            self.load.wait(self._next - now)


class Worker(Client):
    """Claims, then deletes at once or one by one, or thinks better of it."""

    def __init__(
        self, load: Load, name: str, lane: Lane, talk: Talk | None = None, *, waits: bool = False
    ) -> None:
        super().__init__(load, name, lane, talk)
        self._waits = waits

    def turn(self) -> None:
        queue = self.lane.queue
        claim = self.claim(queue)
        if claim is None or claim.claim is None:
            return
        ids = [message.id for message in claim.messages]
        choice = self.random.random()
        if choice < 0.1:
            event, reply = self.ask(
                Event(self.name, "release", 0.0, claim=claim.claim),
                queue,
                "DELETE",
                f"/claims/{claim.claim}",
            )
            if self.expect(reply, 204) or reply.unknown:
                self.note(queue, event)
            return
        alone = 3 if choice < 0.3 else 0
        for id in ids[:alone]:
            self.delete(queue, claim.claim, (id,), f"/messages/{id}?claim_id={claim.claim}")
        if ids[alone:]:
            self.delete_all(queue, claim.claim, tuple(ids[alone:]))

    def claim(self, queue: str) -> Event | None:
        wait = "&wait=1" if self._waits else ""
        event = Event(self.name, "claim", 0.0, ttl=CLAIM_TTL, limit=BATCH, claim=None)
        terms = {"ttl": CLAIM_TTL, "grace": 60}
        event, reply = self.ask(event, queue, "POST", f"/claims?limit={BATCH}{wait}", terms)
        if not self.expect(reply, 201, 204):
            if reply.status != UNSENT:
                self.note(queue, event)
            return None
        if reply.status == 201:
            fence = FENCE.search(reply.head)
            event = event._replace(
                claim=reply.location.rpartition("/")[2],
                fence=int(fence[1]) if fence else 0,
                messages=seen(reply),
            )
        elif not self._waits:
            self.load.wait(0.02)
        self.note(queue, event)
        return event

    def delete_all(self, queue: str, claim: str, ids: tuple[str, ...]) -> int:
        several = f"/messages?ids={','.join(ids)}&claim_ids={claim}"
        return self.delete(queue, claim, ids, several)

    def delete(self, queue: str, claim: str, ids: tuple[str, ...], path: str) -> int:
        """The status."""
        event = Event(self.name, "delete", 0.0, ids=ids, claim=claim)
        event, reply = self.ask(event, queue, "DELETE", path)
        known = self.expect(reply, 204, 400, 403)
        if known or reply.unknown:
            self.note(queue, event._replace(refused=known and reply.status != 204))
        if known and reply.status == 204:
            self.load.count("taken", len(ids))
        return reply.status


class Popper(Client):
    def turn(self) -> None:
        queue = self.lane.queue
        event = Event(self.name, "pop", 0.0, limit=BATCH)
        event, reply = self.ask(event, queue, "DELETE", f"/messages?pop={BATCH}")
        if self.expect(reply, 200):
            event = event._replace(messages=seen(reply))
            self.load.count("taken", len(event.messages))
        if reply.status != UNSENT:
            self.note(queue, event)
        if not event.messages:
            self.load.wait(0.02)


class Reader(Client):
    """Follows the markers of a queue from its beginning."""

    def __init__(self, load: Load, name: str, lane: Lane) -> None:
        super().__init__(load, name, lane)
        self._queue, self._marker, self._after = "", "", 0

    def turn(self) -> None:
        if self._queue != self.lane.queue:
            self._queue, self._marker, self._after = self.lane.queue, "", 0
        event = Event(self.name, "page", 0.0, after=self._after, limit=REST_PAGE)
        path = f"/messages?{ALL}{self._marker}"
        event, reply = self.ask(event, self._queue, "GET", path)
        if self.expect(reply, 200):
            event = event._replace(messages=seen(reply))
            if event.messages:
                self._marker = "&marker=" + marker_of(reply)
                self._after = event.messages[-1].sequence
        if reply.status != UNSENT:
            self.note(self._queue, event)
        self.load.wait(0.1)


def seen(reply: Reply) -> tuple[Seen, ...]:
    """The messages of an answer; the body of each begins with its number."""
    messages = msgspec.json.decode(reply.body, type=Listing).messages
    return tuple(
        Seen(one.id, int(one.body.partition(" ")[0]), one.body.encode()) for one in messages
    )


def marker_of(reply: Reply) -> str:
    found = MARKER.search(reply.body)
    assert found, f"a page without a marker: {reply.body[-300:]!r}"
    return found[1].decode()
