"""A real store, in between whose steps a test can do something: what other nodes do meanwhile.

Nothing is answered here: every step is the store's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from queueing.core.errors import StorageUnavailable
from queueing.storage.contract import Storage

Meanwhile = Callable[[], object]


class Interposed:
    """Passes every verb on to the store. Verbs are named like `messages.post`."""

    def __init__(self, storage: Storage) -> None:
        self.steps: list[str] = []
        """The verbs that were asked for, in order."""
        self._before: dict[str, list[Meanwhile | None]] = {}
        self._after: dict[str, list[Meanwhile | None]] = {}
        self._storage = storage
        self.queues = Part(self, "queues", storage.queues)
        self.messages = Part(self, "messages", storage.messages)
        self.claims = Part(self, "claims", storage.claims)

    def before(self, verb: str, *meanwhile: Meanwhile | None) -> None:
        """Do this before the next step with the verb; further ones before those after it."""
        self._before.setdefault(verb, []).extend(meanwhile)

    def after(self, verb: str, *meanwhile: Meanwhile | None) -> None:
        """Do this after the next step with the verb, before its answer arrives."""
        self._after.setdefault(verb, []).extend(meanwhile)

    def __getattr__(self, name: str) -> Any:
        return self.step(name, getattr(self._storage, name))

    def step(self, verb: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def interposed(*args: Any, **named: Any) -> Any:
            self.steps.append(verb)
            _do_next(self._before.get(verb))
            answer = act(*args, **named)
            _do_next(self._after.get(verb))
            return answer

        return interposed


class Part:
    def __init__(self, whole: Interposed, name: str, store: object) -> None:
        self._whole, self._name, self._store = whole, name, store

    def __getattr__(self, verb: str) -> Any:
        return self._whole.step(f"{self._name}.{verb}", getattr(self._store, verb))


def unavailable() -> None:
    """Meanwhile, the store went away."""
    raise StorageUnavailable("The store is away.")


def _do_next(planned: list[Meanwhile | None] | None) -> None:
    if planned:
        meanwhile = planned.pop(0)
        if meanwhile is not None:
            meanwhile()
