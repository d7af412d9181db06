"""The self-test behind the health report: every kind of step, in a scratch queue of its own."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypedDict
from uuid import uuid4
from zlib import crc32

from queueing.core.clock import Clock
from queueing.core.errors import QueueingError, StorageUnavailable
from queueing.core.limits import Limits
from queueing.core.models import QueueRef
from queueing.service.claims import Claims
from queueing.service.messages import Messages
from queueing.service.queues import Queues
from queueing.storage.contract import Storage

logger = logging.getLogger(__name__)

SCRATCH_PROJECT: Final = " self-test"
"""No client can name it: the blanks around an X-Project-ID are trimmed."""

SCRATCH_QUEUES: Final = 4096
"""A store remembers something of every queue it ever had, so names are used again; few enough
for that, and enough that two processes hardly ever test with the same."""


class Step(TypedDict):
    """How a step went. `ref`: under which it was logged, if it failed."""

    succeeded: bool
    seconds: float
    ref: str | None


class Health(TypedDict):
    """The report. `durability`: what the store may lose, as facts; empty if it did not answer."""

    storage_reachable: bool
    operation_status: dict[str, Step]
    durability: dict[str, str | int | bool]


class Probe(NamedTuple):
    """A message of the self-test."""

    body: bytes
    ttl: int | None = 60
    delay: int | None = None


class WrongAnswer(QueueingError):
    """A step of the self-test was answered, but not as it should be."""


class SelfTest:
    """Tests one store, through the service. Threads share it; one tests at a time."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        limits = Limits()  # what the operator allows to clients is not what is tested
        self._storage = storage
        self._queues = Queues(storage, clock, limits)
        self._messages = Messages(storage, clock, limits)
        self._claims = Claims(storage, clock, limits)
        self._lock = threading.Lock()

    def run(self) -> Health:
        """Try every step and clean up. A step that fails ends the test; the report says which.

        Takes as long as some ten steps of the store, or its time-out.
        """
        report: Health = {"storage_reachable": True, "operation_status": {}, "durability": {}}
        try:
            self._storage.ping()
            report["durability"] = dict(self._storage.durability())
        except StorageUnavailable as error:
            logger.error("health: the store does not answer: %s", error)
            report["storage_reachable"] = False
            return report
        with self._lock:
            queue = scratch_queue()
            for name, step in self._steps(queue):
                status = _timed(name, step)
                report["operation_status"][name] = status
                if not status["succeeded"]:
                    self._clean_up(queue)
                    break
        return report

    def _steps(self, queue: QueueRef) -> Iterator[tuple[str, Callable[[], object]]]:
        # Somebody may test with the same queue at the same time: nothing here counts on being
        # alone, but that one of three messages can be had.
        messages, claims = self._messages, self._claims
        probes = [Probe(b"1"), Probe(b"2"), Probe(b"3")]
        yield "create_queue", lambda: self._queues.create(queue, {})
        ids: list[str] = []

        def post() -> None:
            ids.extend(messages.post(queue, probes, body=b"", client_id="").ids)

        yield "post_messages", post
        claimed: dict[str, str] = {}  # message: its claim

        def claim() -> None:
            claim = claims.create(queue, ttl=60, grace=60, limit=1)
            if claim is None:
                raise WrongAnswer("three messages were posted, and none could be claimed")
            claimed.update((message.id, claim.id) for message in claim.messages)

        yield "claim_messages", claim

        def listed() -> None:
            page, _ = messages.list(
                queue,
                marker=None,
                limit=None,
                client_id="",
                echo=True,
                include_claimed=True,
                include_delayed=True,
            )
            if not page:
                raise WrongAnswer("three messages were posted, and none was listed")

        yield "list_messages", listed

        def delete() -> None:
            for id, claim_id in claimed.items():
                messages.delete(queue, id, claim_id)

        yield "delete_messages", delete

        def release() -> None:
            for claim_id in claimed.values():
                claims.release(queue, claim_id)

        yield "delete_claim", release
        yield "bulk_delete_messages", lambda: messages.delete_many(queue, ids, None)
        yield "delete_queue", lambda: self._queues.delete(queue)

    def _clean_up(self, queue: QueueRef) -> None:
        try:
            self._queues.delete(queue)
        except QueueingError as error:
            # What is left is over in a minute, and the next test uses the queue again.
            logger.error("health: the scratch queue could not be deleted: %s", error)


def _timed(name: str, step: Callable[[], object]) -> Step:
    started = time.perf_counter()
    ref = None
    try:
        step()
    except QueueingError as error:
        ref = str(uuid4())
        logger.error("health: %s failed (ref %s): %r", name, ref, error)
    return {
        "succeeded": ref is None,
        "seconds": round(time.perf_counter() - started, 6),
        "ref": ref,
    }


def scratch_queue() -> QueueRef:
    """Where this process tests: always there, and most likely no other process on any machine."""
    node = f"{socket.gethostname()}:{os.getpid()}"
    return QueueRef(SCRATCH_PROJECT, f"self-test-{crc32(node.encode()) % SCRATCH_QUEUES}")
