"""Processes that use a store and note what they asked, what came back, and when.

They are forked from a server that has imported what they need, so a hundred cost little. Each sends
its events down a pipe: before a request with no end, after its answer with one. A process that is
killed leaves what it had begun in the pipe, and nothing is known of the outcome.
"""

from __future__ import annotations

import multiprocessing
import pickle
import random
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from typing import Any, TypeVar

from queueing.core.errors import ClaimExpired, NotAllowed
from queueing.core.models import ClaimTerms, Draft, Message, QueueRef, request_token
from queueing.storage.contract import Storage
from queueing.storage.registry import DRIVERS, open_storage
from tests.support.history import Event, Seen

MESSAGE_TTL = 86_400
CLAIM_TTL = 3_600

ROLES = "tests.support.roles"

Answer = TypeVar("Answer")
Tell = Callable[[int, Event], None]
"""Told a request's number in its process, and what is known of it so far."""

Role = Callable[..., None]
"""Called with the client, its random numbers, and whatever the processes share."""


class Client:
    """One worker on one queue."""

    def __init__(
        self, storage: Storage, queue: QueueRef, name: str, tell: Tell, ahead: float = 0.0
    ) -> None:
        self.storage = storage
        self.queue = queue
        self.name = name
        self._tell = tell
        self._ahead = ahead  # seconds that its clock is before the others'
        self._requests = 0
        self._bodies = 0

    def now(self) -> float:
        return time.time() + self._ahead

    def _ask(self, event: Event, step: Callable[[], Answer]) -> tuple[Event, Answer]:
        self._requests += 1
        self._tell(self._requests, event)
        answer = step()
        return event._replace(end=time.monotonic()), answer

    def _event(self, verb: str, **what: Any) -> Event:
        return Event(self.name, verb, time.monotonic(), **what)

    def post(self, number: int = 1) -> None:
        bodies = tuple(b"%s-%d" % (self.name.encode(), self._bodies + n) for n in range(number))
        self._bodies += number
        event, posted = self._ask(
            self._event("post", bodies=bodies),
            lambda: self.storage.messages.post(
                self.queue,
                [Draft(body, MESSAGE_TTL) for body in bodies],
                client_id=self.name,
                token=request_token(),
                version="",
                now=self.now(),
            ),
        )
        self._tell(self._requests, event._replace(ids=posted.ids))

    def claim(self, limit: int) -> tuple[str, list[str]]:
        """The claim's id, and those of its messages."""
        now = self.now()
        token = request_token()
        terms = ClaimTerms(CLAIM_TTL, 60, limit)
        event, claimed = self._ask(
            self._event("claim", limit=limit, now=now, ttl=CLAIM_TTL, claim=token),
            lambda: self.storage.claims.claim(self.queue, terms, token=token, version="", now=now),
        )
        if claimed.claim is None:
            self._tell(self._requests, event._replace(claim=None))
            return token, []
        messages = claimed.claim.messages
        event = event._replace(messages=seen(messages), fence=claimed.claim.fence)
        self._tell(self._requests, event)
        return token, [message.id for message in messages]

    def delete(self, id: str, claim_id: str) -> None:
        now = self.now()

        def step() -> bool:
            try:
                self.storage.messages.delete(self.queue, id, claim_id=claim_id, now=now)
            except (NotAllowed, ClaimExpired):
                return True
            return False

        event, refused = self._ask(self._event("delete", ids=(id,), claim=claim_id, now=now), step)
        self._tell(self._requests, event._replace(refused=refused))

    def delete_many(self, ids: Sequence[str], claim_id: str) -> None:
        now = self.now()

        def step() -> bool:
            try:
                self.storage.messages.delete_many(self.queue, ids, claim_ids=[claim_id], now=now)
            except NotAllowed:
                return True
            return False

        event, refused = self._ask(
            self._event("delete", ids=tuple(ids), claim=claim_id, now=now), step
        )
        self._tell(self._requests, event._replace(refused=refused))

    def release(self, claim_id: str) -> None:
        now = self.now()
        event, _ = self._ask(
            self._event("release", claim=claim_id),
            lambda: self.storage.claims.release(self.queue, claim_id, now=now),
        )
        self._tell(self._requests, event)

    def pop(self, limit: int) -> int:
        now = self.now()
        event, popped = self._ask(
            self._event("pop", limit=limit, now=now),
            lambda: self.storage.messages.pop(self.queue, limit, token=request_token(), now=now),
        )
        self._tell(self._requests, event._replace(messages=seen(popped)))
        return len(popped)

    def page(self, after: int, limit: int) -> int:
        """The marker that follows."""
        event, page = self._ask(
            self._event("page", after=after, limit=limit), lambda: self._page(after, limit)
        )
        self._tell(self._requests, event._replace(messages=seen(page)))
        return page[-1].sequence if page else after

    def rest(self) -> None:
        event, page = self._ask(self._event("rest"), lambda: self._page(0, 1_000_000))
        self._tell(self._requests, event._replace(messages=seen(page)))

    def _page(self, after: int, limit: int) -> list[Message]:
        return self.storage.messages.page(
            self.queue,
            after=after,
            limit=limit,
            hide_client=None,
            include_claimed=True,
            include_delayed=True,
            now=self.now(),
        )

    def is_empty(self) -> bool:
        stats = self.storage.messages.stats(self.queue, now=self.now())
        return stats.free + stats.claimed == 0


def seen(messages: Sequence[Message]) -> tuple[Seen, ...]:
    return tuple(Seen(message.id, message.sequence, message.body) for message in messages)


def context() -> ForkServerContext:
    """Where processes come from: a server that has nothing open, and has imported the drivers and
    whatever else takes a process longer than all that it does (pytest: a role may be in a test).
    """
    forkserver = multiprocessing.get_context("forkserver")
    modules = {driver.module for driver in DRIVERS.values()}
    forkserver.set_forkserver_preload(["pytest", ROLES, *sorted(modules)])
    return forkserver


class Process:
    """A client in a process of its own, and all that it has told."""

    def __init__(
        self, uri: str, queue: QueueRef, name: str, role: Role, *shared: Any, ahead: float = 0.0
    ) -> None:
        self._known: dict[int, Event] = {}
        self._has_answer = threading.Event()
        self._pipe, sending = context().Pipe(duplex=False)
        self._process = context().Process(
            target=_run, args=(uri, queue, name, role, shared, sending, ahead), daemon=True
        )
        self._process.start()
        sending.close()
        # Read all the time: a process that finds its pipe full would wait, and others for it.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for_an_answer(self, patience_seconds: float = 60.0) -> None:
        """Return once it has done something."""
        assert self._has_answer.wait(patience_seconds), "nothing was answered"

    def kill(self) -> None:
        """SIGKILL: it does not get to do anything more."""
        self._process.kill()

    def finish(self) -> list[Event]:
        """All that it has told, once it has ended or was killed."""
        self._process.join()
        self._reader.join()
        self._pipe.close()
        return list(self._known.values())

    @property
    def requests(self) -> int:
        """How many it has begun so far."""
        return len(self._known)

    @property
    def exit_code(self) -> int | None:
        return self._process.exitcode

    def _read(self) -> None:
        while True:
            try:
                number, event = pickle.loads(self._pipe.recv_bytes())
            except (EOFError, OSError):  # it has ended, perhaps within what it was telling
                break
            self._known[number] = event
            if event.end is not None:
                self._has_answer.set()
        self._has_answer.set()


def _run(
    uri: str,
    queue: QueueRef,
    name: str,
    role: Role,
    shared: Sequence[Any],
    pipe: Connection,
    ahead: float,
) -> None:
    storage = open_storage(uri, timeout_seconds=30.0)
    client = Client(
        storage,
        queue,
        name,
        lambda number, event: pipe.send_bytes(pickle.dumps((number, event))),
        ahead,
    )
    role(client, random.Random(name), *shared)
    storage.close()
