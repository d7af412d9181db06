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
from queueing.service.settings import KnownSettings
from queueing.service.sweeping import BackgroundSweeper, Sweeper
from queueing.service.waiting import WaitingRoom
from queueing.storage.contract import Storage
from queueing.storage.registry import open_storage


class Node:
    """What one process runs: an app over an open store, and a thread that sweeps once it is started."""

    def __init__(
        self,
        app: WSGIApplication,
        storage: Storage,
        room: WaitingRoom,
        sweeper: BackgroundSweeper | None = None,
    ) -> None:
        self.app = app
        self.storage = storage
        self._room = room
        self._sweeper = sweeper

    def start(self) -> None:
        """Begin to sweep, if the settings ask for it."""
        if self._sweeper:
            self._sweeper.start()

    def stop_waiting(self) -> None:
        """Answer at once all requests that wait, and let none wait any more. May be called twice."""
        self._room.stop()

    def close(self) -> None:
        """End waiting and sweeping, close the store; requests after this fail."""
        self._room.close()
        if self._sweeper:
            self._sweeper.stop()
        self.storage.close()


def build(
    settings: Settings, *, storage: Storage | None = None, clock: Clock | None = None
) -> Node:
    """Wire a node. Once per process, after it was forked: an open store does not survive a fork.

    An open store and a clock may be handed in, to embed the service and to test it.

    :raises SetupError: the store, the policy or a missing package does not let it be wired
    :raises StorageUnavailable: the store is away
    """
    storage = storage or open_store(settings)
    if clock is None:
        clock = StoreClock(storage.time)
        storage.on_reconnect = clock.reset
    room = WaitingRoom(storage, clock, max_waiters=settings.max_waiters)
    sweeper = None
    if settings.collect_seconds:
        sweeper = BackgroundSweeper(
            Sweeper(storage, clock, announce=room.announce), settings.collect_seconds
        )
    app = create_app(services_of(storage, clock, settings, room), settings)
    return Node(app, storage, room, sweeper)


def services_of(
    storage: Storage, clock: Clock, settings: Settings, room: WaitingRoom | None = None
) -> Services:
    """What a client can ask for, over this store; waiting for it in this room, if there is one."""
    known = KnownSettings(storage, settings)
    return Services(
        queues=Queues(storage, clock, settings, room),
        messages=Messages(storage, clock, settings, known, room),
        claims=Claims(storage, clock, settings, known, room),
        health=SelfTest(storage, clock),
        storage=storage,
        clock=clock,
    )


def open_store(settings: Settings) -> Storage:
    """The store that the settings name, open.

    :raises SetupError: the URI, a package, the file or its version does not let it be opened
    :raises StorageUnavailable: the store is away
    """
    return open_storage(settings.storage, timeout_seconds=settings.storage_timeout_seconds)
