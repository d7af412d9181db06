"""What clients do: producers, workers, observers and the rest, each a generator for the loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count, pairwise
from typing import Any, ClassVar

import msgspec

from queueing.bench.ledger import Ledger
from queueing.bench.loop import Call, Client, Loop
from queueing.bench.plan import Plan
from queueing.bench.wire import UNSENT, Reply, Requests

LONGEST_CLAIM = 43200  # seconds; of claims that outlive the run
IDLE_SECONDS = 0.01  # until a worker or an observer that got nothing asks again
RETRY_SECONDS = 0.1  # until one that could not connect, or was answered with an error, asks again
RETRIES = 100  # in a row that cannot connect, before a client gives up
HELD = "h"  # in the place of the run's last letter: messages that nobody is to deliver

NOTHING = "claim, empty"


class Stamp(msgspec.Struct):
    """What a message's body says: which run, which producer, the how manieth."""

    r: str
    p: int
    n: int


class Message(msgspec.Struct):
    href: str
    body: msgspec.Raw


class Page(msgspec.Struct):
    messages: list[Message]
    links: list[dict[str, str]] = []


_page = msgspec.json.Decoder(Page).decode
_stamp = msgspec.json.Decoder(Stamp).decode


class Clients:
    """Makes the clients of one process and holds what they share."""

    largest_post: ClassVar[int] = 20  # messages that queues are filled with in one request

    def __init__(self, plan: Plan, run: str, first_producer: int, loop: Loop) -> None:
        """`run`: six characters that mark the messages of this run, the last of them a hex digit."""
        self.stopping = False
        self.ledger = Ledger()
        self._plan = plan
        self._run = run
        self._producers = count(first_producer)
        self._loop = loop
        self._request = Requests(plan.target)
        self._bases = [f"/v2/queues/{name}".encode() for name in plan.queues]
        self._turn = count(first_producer)

    def of(self, plan: Plan, posted: Callable[[], None]) -> list[Client]:
        """The clients that the plan asks for; `posted` is called when the last that posts has ended."""
        posters = plan.producers + plan.cyclers

        def poster(client: Client) -> Client:
            nonlocal posters
            yield from client
            posters -= 1
            if not posters:
                posted()

        posting = plan.producers + plan.cyclers
        quotas: list[int | None] = [None] * posting
        if plan.messages is not None and posting:
            at = [plan.messages * i // posting for i in range(posting + 1)]
            quotas = [after - before for before, after in pairwise(at)]
        return [
            *(poster(self.producer(quota, plan.batch)) for quota in quotas[: plan.producers]),
            *(poster(self.cycler(quota)) for quota in quotas[plan.producers :]),
            *(self.worker() for _ in range(plan.workers)),
            *(self.observer() for _ in range(plan.observers)),
            *(self.waiter() for _ in range(plan.waiters)),
        ]

    def producer(self, quota: int | None, batch: int, *, held: bool = False) -> Client:
        """Posts until its quota is reached or the run is over."""
        number, posted = next(self._producers), 0
        while not self.stopping and (quota is None or posted < quota):
            size = batch if quota is None else min(batch, quota - posted)
            posted += size
            yield from self._post(number, size, self._next_queue(), held=held)

    def worker(self) -> Client:
        """Claims, and finishes as the plan says."""
        while not self.stopping:
            claimed = yield from self._claim(self._next_queue(), self._plan.claim)
            if claimed:
                yield from self._finish(*claimed)

    def cycler(self, quota: int | None) -> Client:
        """Posts, claims and deletes in turn."""
        number, posted = next(self._producers), 0
        while not self.stopping and (quota is None or posted < quota):
            batch = self._plan.batch
            size = batch if quota is None else min(batch, quota - posted)
            posted += size
            base = self._next_queue()
            began = time.perf_counter_ns()
            yield from self._post(number, size, base)
            claimed = yield from self._claim(base, size)
            if claimed:
                done = yield from self._finish(*claimed)
                if done:
                    self._loop.record.times["cycle"].add(time.perf_counter_ns() - began)

    def observer(self) -> Client:
        """Follows the markers from the beginning, and asks for the order of each producer's messages."""
        base = self._next_queue()
        path = base + b"/messages?echo=true&include_claimed=true&limit=20"
        last: dict[int, int] = {}
        while not self.stopping:
            reply = yield Call("list", self._request(b"GET", path))
            if reply.status != 200:
                yield RETRY_SECONDS
                continue
            page = _page(reply.body)
            for message in page.messages:
                stamp = self._read(message.body)
                if stamp:
                    self.ledger.disorder += stamp.n <= last.get(stamp.p, -1)
                    last[stamp.p] = stamp.n
            self._loop.record.listed += len(page.messages)
            if page.links:
                path = page.links[0]["href"].encode()
            if not page.messages:
                yield IDLE_SECONDS

    def waiter(self) -> Client:
        """Waits for messages in a queue that gets none."""
        patience = self._plan.patience
        path = self._bases[0] + b"-waiters/claims?limit=1&wait=%d" % patience
        data = self._request(b"POST", path, b"{}")
        while not self.stopping:
            began = time.perf_counter()
            yield Call("wait", data, idles=True)
            left = patience - (time.perf_counter() - began)
            if (
                left > patience / 10 and not self.stopping
            ):  # it does not know `wait`, or had no room
                self._loop.record.unwaited += 1
                yield min(left, 1.0)

    def holder(self, number: int) -> Client:
        """Claims this many messages for good."""
        misses = 0
        while number and misses < RETRIES and not self.stopping:
            size = min(number, self._plan.largest_claim)
            body = b'{"ttl":%d,"grace":60}' % LONGEST_CLAIM
            path = self._next_queue() + b"/claims?limit=%d" % size
            reply = yield Call("claim", self._request(b"POST", path, body), NOTHING)
            if reply.status == 201:
                got = len(_page(reply.body).messages)
                number -= got
                self._loop.record.delivered += got
                misses = 0
            else:
                misses += 1
                yield IDLE_SECONDS

    def _post(
        self, producer: int, size: int, base: bytes, *, held: bool = False
    ) -> Any:  # a part of a client
        first = self.ledger.begin(producer)
        run = self._run[:-1] + HELD if held else self._run
        bodies = []
        for number in range(first, first + size):
            stamp = b'{"r":"%b","p":%d,"n":%d,"x":"' % (run.encode(), producer, number)
            padding = b"x" * (self._plan.size - len(stamp) - 2)
            bodies.append(b'{"ttl":%d,"body":%b%b"}}' % (self._plan.ttl, stamp, padding))
        body = b'{"messages":[%b]}' % b",".join(bodies)
        call = Call("post", self._request(b"POST", base + b"/messages", body))
        reply = yield from self._insist(call)
        if not held:
            self.ledger.posted(producer, size, reply)
        if reply.status == 201:
            self._loop.record.posted += size
        elif not self.stopping:
            yield RETRY_SECONDS

    def _claim(self, base: bytes, limit: int) -> Any:
        """The queue's path, the claim and its messages; None if there were none."""
        path = base + b"/claims?limit=%d" % limit
        if self._plan.wait:
            path += b"&wait=%d" % self._plan.wait
        body = b'{"ttl":%d,"grace":60}' % self._plan.claim_ttl
        began = time.perf_counter()
        call = Call("claim", self._request(b"POST", path, body), NOTHING, self._plan.wait > 0)
        reply = yield from self._insist(call)
        if reply.status == 201:
            return base, began, reply
        if not self.stopping:
            yield IDLE_SECONDS if reply.status == 204 else RETRY_SECONDS
        return None

    def _finish(self, base: bytes, began: float, claim: Reply) -> Any:
        """End a claim as the plan says; True if that succeeded throughout."""
        messages = _page(claim.body).messages
        done = True
        match self._plan.finish:
            case "keep":
                self._loop.record.delivered += len(messages)
            case "release":
                self._loop.record.delivered += len(messages)
                yield Call("release", self._request(b"DELETE", claim.location.encode("latin-1")))
            case "bulk":
                ids, claims = [], set()
                for message in messages:
                    path, _, query = message.href.partition("?claim_id=")
                    ids.append(path.rpartition("/")[2])
                    claims.add(query)
                path = f"/messages?ids={','.join(ids)}&claim_ids={','.join(claims)}"
                request = self._request(b"DELETE", base + path.encode())
                reply = yield from self._insist(Call("delete", request))
                done = self._deleted(messages, reply, began)
            case "each":
                for message in messages:
                    request = self._request(b"DELETE", message.href.encode())
                    reply = yield from self._insist(Call("delete", request))
                    done &= self._deleted([message], reply, began)
        return done

    def _deleted(self, messages: list[Message], reply: Reply, began: float) -> bool:
        late = time.perf_counter() - began > self._plan.claim_ttl
        if reply.status == 204:
            self._loop.record.delivered += len(messages)
        for message in messages:
            stamp = self._read(message.body)
            if not stamp:
                continue
            if reply.status == 204:
                self.ledger.deleted(stamp.p, stamp.n, late=late)
            elif reply.unknown:
                self.ledger.maybe_deleted(stamp.p, stamp.n)
        return reply.status == 204

    def _read(self, body: msgspec.Raw) -> Stamp | None:
        """None for messages that are not of this run."""
        try:
            stamp = _stamp(body)
        except msgspec.MsgspecError:
            return None
        return stamp if stamp.r == self._run else None

    def _insist(self, call: Call) -> Any:
        """Until there is a connection to send it on, or no hope."""
        for _ in range(RETRIES):
            reply: Reply = yield call
            if reply.status != UNSENT or self.stopping:
                return reply
            yield RETRY_SECONDS
        self._loop.record.given_up += 1
        self.stopping = True  # nobody listens there: the others need not find out by themselves
        return reply

    def _next_queue(self) -> bytes:
        return self._bases[next(self._turn) % len(self._bases)]
