"""Settings → storage → services → app: the one place that knows everyone."""

from __future__ import annotations

from wsgiref.types import WSGIApplication

from queueing.api.app import Services, create_app
from queueing.config import Settings
from queueing.core.clock import Clock, StoreClock
from queueing.service.claims import Claims
from queueing.service.health import SelfTest
from queueing.service.messages import Messages
from queueing.service.queues import Queues
from queueing.storage.contract import Storage
from queueing.storage.registry import open_storage


class Node:
    """What one process runs: an app over an open store, and a thread that sweeps."""

    def __init__(self, app: WSGIApplication, storage: Storage) -> None:
        self.app = app
        self._storage = storage

    def close(self) -> None:
        """Stop sweeping, close the store; requests after this fail."""
        self._storage.close()


def build(
    settings: Settings, *, storage: Storage | None = None, clock: Clock | None = None
) -> Node:
    """Wire a node. Once per process, after it was forked: an open store does not survive a fork.

    An open store and a clock may be handed in, to embed the service and to test it.

    :raises StorageError: the store cannot be opened
    """
    storage = storage or open_store(settings)
    clock = clock or StoreClock(storage.time)
    services = Services(
        queues=Queues(storage, clock, settings),
        messages=Messages(storage, clock, settings),
        claims=Claims(storage, clock, settings),
        health=SelfTest(storage, clock),
        storage=storage,
        clock=clock,
    )
    return Node(create_app(services, settings), storage)


def open_store(settings: Settings) -> Storage:
    return open_storage(settings.storage, timeout_seconds=settings.storage_timeout_seconds)
