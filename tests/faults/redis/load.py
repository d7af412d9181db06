"""Clients that go on asking while a test harms their servers, and note all that they are told."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from queueing.core.errors import StorageUnavailable
from queueing.core.models import QueueRef
from queueing.storage.contract import Storage
from tests.conftest import LONG, OPERATIONS
from tests.support.clients import CLAIM_TTL, Client
from tests.support.history import Event, Finding, check

PATIENCE_SECONDS = 3600.0 if LONG else 240.0


class Load:
    """Threads that post, claim, delete, release, pop and read on one queue, until `operations` were
    answered. What is answered 503 stays open in the history: it may have been done or not.

        with Load([storage, other_node], queue) as load:
            load.wait(0.3)      # until 30 % is done
            server.kill()
            server.start()
        assert load.findings() == []
    """

    def __init__(
        self,
        storages: Sequence[Storage],
        queue: QueueRef,
        *,
        operations: int = OPERATIONS,
        threads: int = 8,
        clocks: Sequence[Callable[[], float]] = (time.time,),
    ) -> None:
        self.operations = operations
        self.answered = 0
        self.unavailable = 0
        self.errors: list[BaseException] = []
        self._events: dict[tuple[str, int], Event] = {}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._survivor = self._client(storages[0], queue, "survivor", 0.0)
        self._heir = self._client(storages[0], queue, "heir", CLAIM_TTL + 60.0)
        self._threads = [
            threading.Thread(
                target=self._run,
                args=(storages[number % len(storages)], queue, number, clocks),
                name=f"load-{number}",
                daemon=True,
            )
            for number in range(threads)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.wait(1.0)
        self._stop.set()
        deadline = time.monotonic() + PATIENCE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            assert not thread.is_alive(), "a thread hangs"
        assert self.errors == []

    def wait(self, part: float) -> None:
        """Until that part of the operations was answered."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.answered < self.operations * part and not self.errors:
            assert time.monotonic() < deadline, f"only {self.answered} operations were answered"
            time.sleep(0.01)

    def findings(self) -> list[Finding]:
        """All that is wrong with what was seen, once everything has been taken to the last."""
        persist(self._survivor.rest)
        while True:
            claim_id, ids = persist(lambda: self._heir.claim(50))
            if not ids:
                break
            persist(lambda ids=ids, claim=claim_id: self._heir.delete_many(ids, claim))
        assert persist(self._heir.is_empty)
        return check(self._events.values())

    def _run(
        self,
        storage: Storage,
        queue: QueueRef,
        number: int,
        clocks: Sequence[Callable[[], float]],
    ) -> None:
        client = self._client(storage, queue, f"client{number}", 0.0)
        client.now = clocks[number % len(clocks)]  # type: ignore[method-assign]  # this node's
        rng = random.Random(number)
        marker = 0
        try:
            while not self._stop.is_set():
                try:
                    marker = self._turn(client, rng, marker)
                except StorageUnavailable:
                    self.unavailable += 1
                    time.sleep(0.01)
        except BaseException as error:
            self.errors.append(error)
            raise

    def _turn(self, client: Client, rng: random.Random, marker: int) -> int:
        client.post(rng.choice([1, 1, 3, 8]))
        claim_id, ids = client.claim(rng.choice([1, 2, 6]))
        if rng.random() < 0.2:
            client.release(claim_id)
        else:
            for id in ids:
                client.delete(id, claim_id)
        if rng.random() < 0.4:
            client.pop(rng.choice([1, 2, 5]))
        if rng.random() < 0.3:
            marker = client.page(marker, 50)
        return marker

    def _client(self, storage: Storage, queue: QueueRef, name: str, ahead: float) -> Client:
        def tell(number: int, event: Event) -> None:
            self._events[name, number] = event
            if event.end is not None:
                with self._lock:
                    self.answered += 1

        return Client(storage, queue, name, tell, ahead)


def persist(ask: Callable[[], Any]) -> Any:
    """As a client that repeats what was answered 503."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return ask()
        except StorageUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.05)
