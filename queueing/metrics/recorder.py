"""What is counted where it happens: requests in the app, messages and calls at the store.

A request costs a lock, a few look-ups and additions here, and as much for each call of the store that it makes;
`benchmarks/metrics.py` measures it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any, Final, NamedTuple

import falcon

from queueing.api.request import Request
from queueing.core.errors import QueueingError, StorageUnavailable
from queueing.core.models import QueueRef
from queueing.metrics import families
from queueing.metrics.cells import Cell, Cells, Timer
from queueing.metrics.families import Family
from queueing.metrics.place import Place
from queueing.metrics.queues import KnownQueues
from queueing.service.health import SCRATCH_PROJECT
from queueing.service.waiting import WaitingRoom
from queueing.storage.contract import Storage
from queueing.storage.instrumented import Verb

METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
NO_ROUTE: Final = "(none)"

MESSAGES: Final[dict[str, tuple[Family, Callable[[Any, Any], int]]]] = {
    "messages.post": (families.POSTED, lambda _, posted: 0 if posted.replayed else len(posted.ids)),
    "messages.pop": (families.DELETED, lambda _, messages: len(messages)),
    "messages.delete": (families.DELETED, lambda _id, _: 1),
    "messages.delete_many": (families.DELETED, lambda ids, _: len(ids)),
    "messages.clear_dead_letters": (families.DEAD_LETTERED, lambda burials, _: len(burials)),
    "claims.claim": (
        families.CLAIMED,
        lambda _, claimed: 0 if claimed.claim is None else len(claimed.claim.messages),
    ),
}
"""By call of the store: what it counts, and how many, by its second argument and its answer."""


class _Kind(NamedTuple):
    """Where requests of one route, method and status are counted, which wait or do not."""

    numbers: memoryview[float]
    at: int
    timer: Timer


class Recorder:
    """Counts for one process of a node. Threads share it.

    Is a middleware of the app; `around` goes around the store's verbs.
    """

    def __init__(self, place: Place, *, most_queues: int, always: Iterable[QueueRef] = ()) -> None:
        self._cells = Cells(place.directory, place.take_slot())
        self._lock = threading.Lock()
        self._queues = KnownQueues(place.directory, most_queues, always)
        self._requests: dict[tuple[str | None, str, Any, bool], _Kind] = {}
        self._timers: dict[str, Timer] = {}
        self._by_queue: dict[str, dict[QueueRef, Cell]] = {}
        self._waiters = self._cells.cell(families.WAITERS)
        self._refused = self._cells.cell(families.WAITERS_REFUSED)
        self._swept = self._cells.cell(families.SWEPT)
        self._depth_errors = self._cells.cell(families.DEPTH_ERRORS)
        self._refusals = 0
        self._connections: tuple[Cell, Cell] | None = None

    # Requests

    def process_request(self, req: Request, _resp: falcon.Response) -> None:
        if not req.started:
            req.started = perf_counter()

    def process_response(
        self, req: Request, resp: falcon.Response, _resource: object, _succeeded: bool
    ) -> None:
        # Falcon refuses some methods before `process_request`.
        passed = perf_counter() - req.started if req.started else 0.0
        query: str = req.env.get("QUERY_STRING", "")
        waits = query != "" and (query.startswith("wait=") or "&wait=" in query)
        key = (req.uri_template, req.method, resp.status, waits)
        numbers, at, timer = self._requests.get(key) or self._learn(*key)
        with self._lock:
            numbers[at] += 1.0
            timer.add(passed)

    def _learn(self, route: str | None, method: str, status: Any, waits: bool) -> _Kind:
        known = method if method in METHODS else "other"
        path = route or NO_ROUTE
        with self._lock:
            numbers, at = self._cells.cell(families.REQUESTS, known, path, str(status)[:3])
            waiting = "yes" if waits else "no"
            timer = self._cells.timer(families.REQUEST_SECONDS, known, path, waiting)
            kind = _Kind(numbers, at, timer)
            if known == method:  # a client may make up any number of others
                self._requests[route, method, status, waits] = kind
        return kind

    # The store

    def around(self, operation: str, verb: Verb) -> Verb:
        """Time it, count what fails, and what it does to messages: see `Around`."""
        told = MESSAGES.get(operation)
        if told is not None:
            return self._around_messages(operation, verb, *told)
        timed = self._around_any(operation, verb)
        return self._around_collect(timed) if operation == "collect" else timed

    def _around_any(self, operation: str, verb: Verb) -> Verb:
        timers, lock = self._timers, self._lock

        def call(*arguments: Any, **named: Any) -> Any:
            started = perf_counter()
            try:
                answer = verb(*arguments, **named)
            except BaseException as error:
                self._failed(operation, perf_counter() - started, error)
                raise
            passed = perf_counter() - started
            timer = timers.get(operation) or self._timer(operation)
            with lock:
                timer.add(passed)
            return answer

        return call

    def _around_messages(
        self, operation: str, verb: Verb, family: Family, number: Callable[[Any, Any], int]
    ) -> Verb:
        timers, lock = self._timers, self._lock
        by_queue = self._by_queue.setdefault(family.name, {})

        def call(queue: QueueRef, what: Any, **named: Any) -> Any:
            started = perf_counter()
            try:
                answer = verb(queue, what, **named)
            except BaseException as error:
                self._failed(operation, perf_counter() - started, error)
                raise
            passed = perf_counter() - started
            timer = timers.get(operation) or self._timer(operation)
            many = number(what, answer)
            if not many or queue.project == SCRATCH_PROJECT:  # the self-test's are nobody's
                with lock:
                    timer.add(passed)
                return answer
            numbers, at = by_queue.get(queue) or self._cell_of(family, queue)
            with lock:
                timer.add(passed)
                numbers[at] += many
            return answer

        return call

    def _around_collect(self, collect: Verb) -> Verb:
        def call(**named: Any) -> Any:
            swept = collect(**named)
            with self._lock:
                numbers, at = self._swept
                numbers[at] += swept
            return swept

        return call

    def _timer(self, operation: str) -> Timer:
        with self._lock:
            timer = self._timers.get(operation)
            if timer is None:
                timer = self._cells.timer(families.STORE_SECONDS, operation)
                self._timers[operation] = timer
        return timer

    def _cell_of(self, family: Family, queue: QueueRef) -> Cell:
        label = self._queues.label(queue)
        by_queue = self._by_queue[family.name]
        with self._lock:
            cell = by_queue.get(label)
            if cell is None:
                cell = by_queue[label] = self._cells.cell(family, *label)
        return cell

    def _failed(self, operation: str, passed: float, error: BaseException) -> None:
        # Most of what a store raises is an answer: no such claim, other settings.
        kind = None
        if isinstance(error, StorageUnavailable):
            cause = error.__cause__ or error.__context__ or error
            kind = type(cause).__name__
        elif not isinstance(error, QueueingError):
            kind = type(error).__name__
        timer = self._timer(operation)
        with self._lock:
            timer.add(passed)
            if kind is not None:
                numbers, at = self._cells.cell(families.STORE_ERRORS, operation, kind)
                numbers[at] += 1.0

    # What is looked at from time to time

    def sample(self, room: WaitingRoom, storage: Storage) -> None:
        """Note how many wait and how many connections there are just now."""
        try:
            connections = storage.connections()
        except StorageUnavailable:
            connections = None  # it is not even known which servers there are
        refusals = room.refusals
        with self._lock:
            numbers, at = self._waiters
            numbers[at] = float(room.count)
            numbers, at = self._refused
            numbers[at] += refusals - self._refusals
            self._refusals = refusals
            if connections is not None:
                if self._connections is None:
                    self._connections = (
                        self._cells.cell(families.CONNECTIONS, "in_use"),
                        self._cells.cell(families.CONNECTIONS, "idle"),
                    )
                for (numbers, at), number in zip(self._connections, connections, strict=True):
                    numbers[at] = float(number)

    def depth_failed(self) -> None:
        with self._lock:
            numbers, at = self._depth_errors
            numbers[at] += 1.0

    def close(self) -> None:
        """Count nothing new any more."""
        with self._lock:
            self._cells.close()
