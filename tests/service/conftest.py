"""A node's services over each store, and a second node that changes things meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import msgspec
import pytest

from queueing.core.clock import ManualClock
from queueing.core.limits import Limits
from queueing.core.models import Claim, Message, QueueRef
from queueing.service.claims import Claims
from queueing.service.messages import Messages
from queueing.service.queues import Change, Queues
from queueing.storage.contract import Storage
from tests.service.interposed import Interposed

CLIENT = "12345678-9abc-def0-1234-56789abcdef0"


class Posting(NamedTuple):
    body: bytes
    ttl: int | None = None
    delay: int | None = None


class Node:
    """What one process serves, in words that keep tests short. Bodies and metadata are JSON texts."""

    def __init__(self, storage: Storage, clock: ManualClock, limits: Limits) -> None:
        self.store = Interposed(storage)
        self.storage = storage
        self.clock = clock
        self.limits = limits
        interposed = cast(Storage, self.store)
        self.queues = Queues(interposed, clock, limits)
        self.messages = Messages(interposed, clock, limits)
        self.claims = Claims(interposed, clock, limits)

    @property
    def steps(self) -> list[str]:
        return self.store.steps

    def configure(self, queue: QueueRef, **metadata: Any) -> None:
        """Give the queue exactly this metadata, whether or not it exists."""
        texts = {key: json.dumps(value).encode() for key, value in metadata.items()}
        if not self.queues.create(queue, texts):
            shown = self.queues.show(queue)
            changes = [Change("remove", key, None) for key in shown if key not in texts]
            changes += [Change("add", key, text) for key, text in texts.items()]
            self.queues.update(queue, changes)

    def post(self, queue: QueueRef, *bodies: bytes, **said: Any) -> list[str]:
        """Post messages with these bodies, in one request as long as them; their ids."""
        postings = [Posting(body, said.get("ttl"), said.get("delay")) for body in bodies]
        request = b",".join(bodies)
        return list(self.messages.post(queue, postings, body=request, client_id=CLIENT).ids)

    def claim(
        self, queue: QueueRef, limit: int | None = None, ttl: int | None = None
    ) -> Claim | None:
        return self.claims.create(queue, ttl=ttl, grace=None, limit=limit)

    def claim_and_release(self, queue: QueueRef, times: int) -> None:
        for _ in range(times):
            claim = self.claim(queue)
            assert claim
            self.claims.release(queue, claim.id)

    def all(self, queue: QueueRef) -> list[Message]:
        """Every message of the queue, in whatever state."""
        found: list[Message] = []
        marker: str | None = None
        while True:
            page, marker = self.messages.list(
                queue,
                marker=marker,
                limit=20,
                client_id="",
                echo=True,
                include_claimed=True,
                include_delayed=True,
            )
            found += page
            if marker is None:
                return found

    def bodies(self, queue: QueueRef) -> list[bytes]:
        return [message.body for message in self.all(queue)]

    def stored(self, queue: QueueRef) -> list[bytes]:
        """The bodies as they lie in the store."""
        now = self.clock.now()
        page = self.storage.messages.page(
            queue,
            after=0,
            limit=100,
            hide_client=None,
            include_claimed=True,
            include_delayed=True,
            now=now,
        )
        return [message.body for message in page]


OpenNode = Callable[..., Node]


@pytest.fixture
def open_node(storage: Storage, clock: ManualClock) -> OpenNode:
    """Another node over the same store, with these limits."""

    def open(**limits: Any) -> Node:
        return Node(storage, clock, replace(Limits(), **limits))

    return open


@pytest.fixture
def node(open_node: OpenNode) -> Node:
    return open_node()


@pytest.fixture
def other(open_node: OpenNode) -> Node:
    """A second node, that knows nothing of the first."""
    return open_node()


@pytest.fixture
def queue(project: str) -> QueueRef:
    return QueueRef(project, "jobs")


@pytest.fixture
def morgue(project: str) -> QueueRef:
    """Where dead letters of `queue` go."""
    return QueueRef(project, "morgue")


def texts(metadata: Any) -> dict[str, bytes]:
    """Metadata as plain JSON texts."""
    return {key: bytes(value) for key, value in metadata.items()}


def raw(text: bytes) -> Any:
    return msgspec.Raw(text)


def bodies(messages: Sequence[Message]) -> list[bytes]:
    return [message.body for message in messages]
