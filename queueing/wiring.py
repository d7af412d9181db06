"""Settings → storage → services → app: the one place that knows everyone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from wsgiref.types import WSGIApplication

from queueing.api.app import Services, create_app
from queueing.config import Settings
from queueing.core.clock import Clock, StoreClock
from queueing.service.claims import Claims
from queueing.service.health import SelfTest
from queueing.service.messages import Messages
from queueing.service.queues import Queues
from queueing.service.readiness import Readiness
from queueing.service.settings import KnownSettings
from queueing.service.sweeping import BackgroundSweeper, Sweeper
from queueing.service.waiting import WaitingRoom
from queueing.storage.contract import Storage
from queueing.storage.instrumented import instrumented
from queueing.storage.registry import open_storage

if TYPE_CHECKING:
    from queueing.metrics.exporter import Exporter
    from queueing.metrics.place import Place
    from queueing.metrics.recorder import Recorder
    from queueing.tracing import Tracer


class Node:
    """What one process runs: an app over an open store, and threads once it is started: they sweep, and
    answer who asks for metrics."""

    def __init__(
        self,
        app: WSGIApplication,
        storage: Storage,
        room: WaitingRoom,
        sweeper: BackgroundSweeper | None = None,
        exporter: Exporter | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.app = app
        self.storage = storage
        self._room = room
        self._sweeper = sweeper
        self._exporter = exporter
        self._tracer = tracer

    def start(self) -> None:
        """Begin to sweep and to answer for metrics, if the settings ask for it."""
        if self._sweeper:
            self._sweeper.start()
        if self._exporter:
            self._exporter.start()

    def stop_waiting(self) -> None:
        """Answer at once all requests that wait, and let none wait any more. May be called twice."""
        self._room.stop()

    def close(self) -> None:
        """End waiting and sweeping, close the store; requests after this fail."""
        self._room.close()
        if self._sweeper:
            self._sweeper.stop()
        if self._exporter:
            self._exporter.stop()
        self.storage.close()
        if self._tracer:
            self._tracer.close()


def build(
    settings: Settings,
    *,
    storage: Storage | None = None,
    clock: Clock | None = None,
    metrics: Place | None = None,
    tracer: Tracer | None = None,
    is_leaving: Callable[[], bool] = bool,
) -> Node:
    """Wire a node. Once per process, after it was forked: an open store does not survive a fork.

    An open store and a clock may be handed in, to embed the service and to test it. Without a place
    for `metrics` there are none, without a `tracer` no traces. While it `is_leaving` it is not
    ready, and serves all the same.

    :raises SetupError: the store, the policy or a missing package does not let it be wired
    :raises StorageUnavailable: the store is away
    """
    storage = storage or open_store(settings)
    middleware: list[Any] = []
    recorder = None
    if tracer is not None:
        middleware.append(tracer)
        storage = instrumented(storage, tracer.around)
    if metrics is not None:
        recorder = _recorder(metrics, settings)
        middleware.append(recorder)
        storage = instrumented(storage, recorder.around)
    if clock is None:
        clock = StoreClock(storage.time)
        storage.on_reconnect = clock.reset
    room = WaitingRoom(storage, clock, max_waiters=settings.max_waiters)
    sweeper = None
    if settings.collect_seconds:
        sweeper = BackgroundSweeper(
            Sweeper(storage, clock, announce=room.announce), settings.collect_seconds
        )
    services = services_of(storage, clock, settings, room, is_leaving)
    app = create_app(services, settings, middleware)
    exporter = None
    if metrics is not None and recorder is not None:
        exporter = _exporter(metrics, recorder, settings, room, storage, clock)
    return Node(app, storage, room, sweeper, exporter, tracer)


def services_of(
    storage: Storage,
    clock: Clock,
    settings: Settings,
    room: WaitingRoom | None = None,
    is_leaving: Callable[[], bool] = bool,
) -> Services:
    """What a client can ask for, over this store; waiting for it in this room, if there is one."""
    known = KnownSettings(storage, settings)

    def leaves() -> bool:
        return is_leaving() or (room is not None and room.is_stopped)

    return Services(
        queues=Queues(storage, clock, settings, room),
        messages=Messages(storage, clock, settings, known, room),
        claims=Claims(storage, clock, settings, known, room),
        health=SelfTest(storage, clock),
        readiness=Readiness(storage.ping, leaves),
        storage=storage,
        clock=clock,
    )


def open_store(settings: Settings) -> Storage:
    """The store that the settings name, open.

    :raises SetupError: the URI, a package, the file or its version does not let it be opened
    :raises StorageUnavailable: the store is away
    """
    return open_storage(settings.storage, timeout_seconds=settings.storage_timeout_seconds)


def _recorder(metrics: Place, settings: Settings) -> Recorder:
    from queueing.metrics.depths import chosen
    from queueing.metrics.recorder import Recorder

    always = chosen(settings.metrics_depth_queues)
    return Recorder(metrics, most_queues=settings.metrics_queues, always=always)


def _exporter(
    metrics: Place,
    recorder: Recorder,
    settings: Settings,
    room: WaitingRoom,
    storage: Storage,
    clock: Clock,
) -> Exporter:
    from queueing.metrics.depths import Depths, chosen
    from queueing.metrics.exporter import Exporter

    depths = Depths(chosen(settings.metrics_depth_queues), storage, clock, recorder)
    return Exporter(metrics, recorder, room, storage, depths)
