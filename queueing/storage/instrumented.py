"""Any store, with something around each of its verbs: a watch, a counter, a trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from queueing.core.models import QueueRef
from queueing.storage.contract import (
    Announces,
    ClaimStore,
    Connections,
    MessageStore,
    QueueStore,
    Storage,
)

Verb = Callable[..., Any]
Around = Callable[[str, Verb], Verb]
"""From a verb and its name, as `messages.post`, to what is called in its place, with the same arguments."""

Noun = TypeVar("Noun")


def instrumented(storage: Storage, around: Around) -> Storage:
    """The same open store, whose verbs are what `around` makes of them."""
    if isinstance(storage, Announces):
        return _AnnouncingStorage(storage, around)
    return _InstrumentedStorage(storage, around)


class _InstrumentedStorage(Storage):
    def __init__(self, inner: Storage, around: Around) -> None:
        self._inner = inner
        self.resends = inner.resends
        self.queues = _around_all(QueueStore, inner.queues, "queues", around)  # type: ignore[type-abstract]  # asks for its verbs only
        self.messages = _around_all(MessageStore, inner.messages, "messages", around)  # type: ignore[type-abstract]  # the same
        self.claims = _around_all(ClaimStore, inner.claims, "claims", around)  # type: ignore[type-abstract]  # the same
        self._time: Callable[[], float] = around("time", inner.time)
        self._ping: Callable[[], None] = around("ping", inner.ping)
        self._collect: Callable[..., int] = around("collect", inner.collect)
        self._piles: Callable[..., list[QueueRef]] = around("piles", inner.piles)

    @property
    def on_reconnect(self) -> Callable[[], None] | None:
        return self._inner.on_reconnect

    @on_reconnect.setter
    def on_reconnect(self, callback: Callable[[], None] | None) -> None:
        self._inner.on_reconnect = callback

    def time(self) -> float:
        return self._time()

    def ping(self) -> None:
        self._ping()

    def durability(self) -> Mapping[str, str | int | bool]:
        return self._inner.durability()

    def connections(self) -> Connections | None:
        return self._inner.connections()

    def collect(self, *, now: float, limit: int) -> int:
        return self._collect(now=now, limit=limit)

    def piles(self, *, limit: int) -> list[QueueRef]:
        return self._piles(limit=limit)

    def close(self) -> None:
        self._inner.close()


class _AnnouncingStorage(_InstrumentedStorage, Announces):
    _inner: Any  # a Storage that Announces

    def listen(self, hear: Callable[[QueueRef, int], None]) -> None:
        self._inner.listen(hear)

    def follow(self, queue: QueueRef) -> bool:
        return bool(self._inner.follow(queue))

    def unfollow(self, queue: QueueRef) -> None:
        self._inner.unfollow(queue)


def _around_all(kind: type[Noun], inner: Noun, prefix: str, around: Around) -> Noun:
    """An object of this kind that has `around` of each of the inner one's verbs; no call in between."""
    verbs: frozenset[str] = cast(Any, kind).__abstractmethods__
    members = {
        name: staticmethod(around(f"{prefix}.{name}", getattr(inner, name))) for name in verbs
    }
    return cast(Noun, type(f"Instrumented{kind.__name__}", (kind,), members)())
