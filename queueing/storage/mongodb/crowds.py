"""Those of one process who want the same messages: one of them asks for all that wait by then.

Of n that saw the same head of a queue one would win it, and the others begin again: n² steps. So of
the threads at one queue one works at a time, and takes along what the others have come to want
meanwhile: however many they are, nobody waits for more than the steps in front of his own.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, TypeVar, cast

from queueing.core.errors import StorageUnavailable


class Wish(ABC):
    """What one thread wants. Compared by identity."""

    @property
    @abstractmethod
    def served(self) -> bool:
        """Whether it has got it."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many messages it wants."""

    @abstractmethod
    def goes_with(self, first: Wish) -> bool:
        """Whether both can be asked for in one step, which needs them to be of one kind."""


Wanted = TypeVar("Wanted", bound=Wish)


class _Crowd:
    def __init__(self, lock: threading.Lock) -> None:
        self.waiting: list[Wish] = []
        self.is_served = False  # one of them works for some of them
        self.here: set[Wish] = set()  # whose threads are still here
        self.changed = threading.Condition(lock)


class Crowds:
    """One crowd for each queue that somebody wants something of just now."""

    def __init__(self, at_once: int) -> None:
        """`at_once`: the sizes of the wishes in one step together, unless it is one alone."""
        self._at_once: Final = at_once
        self.begin()
        _ALL.add(self)

    def begin(self) -> None:
        """Also in a forked process, where nobody waits, and who knows about the lock."""
        self._lock = threading.Lock()
        self._crowds: dict[str, _Crowd] = {}

    def serve(
        self, name: str, wish: Wanted, deadline: float, work: Callable[[list[Wanted]], None]
    ) -> None:
        """Return once the wish was served: by `work` in this thread, for others too, or by another.

        `deadline` is of the monotonic clock. Where `work` fails it fails for who did it; the others
        have its work to do again.

        :raises StorageUnavailable: the deadline has passed before it was this one's turn
        """
        with self._lock:
            crowd = self._crowds.get(name)
            if crowd is None:
                crowd = self._crowds[name] = _Crowd(self._lock)
            crowd.here.add(wish)
            crowd.waiting.append(wish)
            try:
                together = self._wait(crowd, wish, deadline)
            except StorageUnavailable:
                self._leave(name, crowd, wish)
                raise
            if not together:
                self._leave(name, crowd, wish)
                return
        try:
            work(cast(list[Wanted], together))  # all of one kind, as they go together
        finally:
            with self._lock:
                again = [one for one in together[1:] if one in crowd.here and not one.served]
                crowd.waiting[:0] = again
                crowd.is_served = False
                self._leave(name, crowd, wish)
                if crowd.here:
                    crowd.changed.notify_all()

    def _wait(self, crowd: _Crowd, wish: Wish, deadline: float) -> list[Wish]:
        """Until it is this one's turn: whom to work for. Nobody if it was served meanwhile."""
        while not wish.served and (crowd.is_served or crowd.waiting[0] is not wish):
            left = deadline - time.monotonic()
            if left <= 0 or not crowd.changed.wait(left):
                if wish.served:
                    break
                if wish in crowd.waiting:
                    crowd.waiting.remove(wish)
                crowd.changed.notify_all()
                raise StorageUnavailable("Too many want the same messages at once.")
        if wish.served:
            return []
        crowd.is_served = True
        together: list[Wish] = [wish]
        others: list[Wish] = []
        size = wish.size
        for one in crowd.waiting[1:]:
            size += one.size
            fits = size <= self._at_once and one.goes_with(wish)
            (together if fits else others).append(one)
        crowd.waiting = others
        return together

    def _leave(self, name: str, crowd: _Crowd, wish: Wish) -> None:
        crowd.here.discard(wish)
        if not crowd.here:
            del self._crowds[name]


_ALL: weakref.WeakSet[Crowds] = weakref.WeakSet()


def _begin_all() -> None:
    for crowds in _ALL:
        crowds.begin()


os.register_at_fork(after_in_child=_begin_all)
