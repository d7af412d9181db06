"""A process that kills itself at a command: before it is sent, or when it was answered.

python -m tests.faults.mongodb.victim URI QUEUE WHAT before|after NUMBER
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from queueing.core.models import (
    ClaimTerms,
    DeadLetterRule,
    Draft,
    IdempotencyKey,
    QueueRef,
    request_token,
)
from queueing.storage.contract import Storage
from queueing.storage.registry import open_storage
from tests.faults.mongodb.commands import COMMANDS

PROJECT = "project"
RULE = DeadLetterRule("dead", max_claims=1)


def post(storage: Storage, queue: QueueRef, number: int, key: IdempotencyKey | None = None) -> None:
    drafts = [Draft(b"dead-%d" % index, 3600) for index in range(number)]
    storage.messages.post(
        queue,
        drafts,
        client_id="victim",
        token=request_token(),
        version="",
        now=time.time(),
        idempotency=key,
    )


def claim(storage: Storage, queue: QueueRef) -> None:
    storage.claims.claim(
        queue, ClaimTerms(60, 60, 5, RULE), token=request_token(), version="", now=time.time()
    )


def forward(storage: Storage, queue: QueueRef) -> None:
    letters = storage.messages.dead_letters(queue, now=time.time())
    dead = QueueRef(queue.project, RULE.target)
    storage.messages.accept_dead_letters(dead, letters, now=time.time())
    storage.messages.clear_dead_letters(queue, [one.burial for one in letters], now=time.time())


WHAT: dict[str, Callable[[Storage, QueueRef], Any]] = {
    "post": lambda storage, queue: post(storage, queue, 1),
    "batch": lambda storage, queue: post(storage, queue, 3),
    "long batch": lambda storage, queue: post(storage, queue, 1100),
    "post with key": lambda storage, queue: post(
        storage, queue, 3, IdempotencyKey("key", b"d" * 32, time.time() + 600)
    ),
    "claim": claim,
    "pop": lambda storage, queue: storage.messages.pop(
        queue, 3, token=request_token(), now=time.time()
    ),
    "forward": forward,
    "purge": lambda storage, queue: storage.messages.purge(queue, now=time.time()),
    "delete queue": lambda storage, queue: storage.queues.delete(queue, now=time.time()),
}


def live(uri: str, name: str, what: str, when: str, left: int) -> None:
    """Do it, and die `when` ("before" or "after") so many commands are `left` to be lived through."""
    storage = open_storage(uri, timeout_seconds=30.0)

    def die_at(event: object) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    if when == "before":
        COMMANDS.before = die_at
    else:
        COMMANDS.after = die_at
    WHAT[what](storage, QueueRef(PROJECT, name))
    COMMANDS.before = COMMANDS.after = None
    storage.close()
