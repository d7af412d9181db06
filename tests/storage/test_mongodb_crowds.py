"""Threads that want something of one queue: one works at a time, and takes along those that wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from queueing.core.errors import StorageUnavailable
from queueing.storage.mongodb.crowds import Crowds, Wish

PATIENCE_SECONDS = 30.0


@dataclass(eq=False)
class Number(Wish):
    value: int
    kind: str = "a"
    size: int = 1
    answer: int | None = None

    @property
    def served(self) -> bool:
        return self.answer is not None

    def goes_with(self, first: Wish) -> bool:
        return isinstance(first, Number) and first.kind == self.kind


class Work:
    """Doubles what it is given. The first time it waits until it may go on."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()
        self.fails = 0
        self.steps: list[list[int]] = []

    def __call__(self, wishes: list[Number]) -> None:
        self.steps.append([wish.value for wish in wishes])
        self.begun.set()
        assert self.go.wait(PATIENCE_SECONDS)
        if self.fails:
            self.fails -= 1
            raise ValueError
        for wish in wishes:
            wish.answer = 2 * wish.value


class Threads:
    def __init__(self, crowds: Crowds, work: Callable[[list[Number]], None]) -> None:
        self._crowds = crowds
        self._work = work
        self._threads: list[threading.Thread] = []
        self.failures: dict[int, BaseException] = {}

    def start(self, wish: Number, queue: str = "q", seconds: float = PATIENCE_SECONDS) -> None:
        """Return when it waits, or works."""
        before = self._waiting(queue)

        def run() -> None:
            try:
                self._crowds.serve(queue, wish, time.monotonic() + seconds, self._work)
            except (ValueError, StorageUnavailable) as failure:
                self.failures[wish.value] = failure

        thread = threading.Thread(target=run)
        thread.start()
        self._threads.append(thread)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while thread.is_alive() and self._waiting(queue) == before:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def _waiting(self, queue: str) -> int:
        crowd = self._crowds._crowds.get(queue)
        return len(crowd.here) if crowd else 0

    def join(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def crowds() -> Crowds:
    return Crowds(at_once=10)


@pytest.fixture
def threads(crowds: Crowds, work: Work) -> Threads:
    return Threads(crowds, work)


def test_those_who_come_while_one_works_are_served_in_one_step(
    threads: Threads, work: Work, crowds: Crowds
) -> None:
    wishes = [Number(n) for n in range(5)]
    threads.start(wishes[0])
    assert work.begun.wait(PATIENCE_SECONDS)
    for wish in wishes[1:]:
        threads.start(wish)
    work.go.set()
    threads.join()
    assert work.steps == [[0], [1, 2, 3, 4]]
    assert [wish.answer for wish in wishes] == [0, 2, 4, 6, 8]
    assert not crowds._crowds  # nothing is kept of a queue where nobody is


def test_what_does_not_go_together_is_done_in_the_order_in_which_it_came(
    threads: Threads, work: Work
) -> None:
    threads.start(Number(0))
    assert work.begun.wait(PATIENCE_SECONDS)
    for value, kind in [(1, "b"), (2, "a"), (3, "b")]:
        threads.start(Number(value, kind))
    work.go.set()
    threads.join()
    assert work.steps == [[0], [1, 3], [2]]


def test_a_step_is_only_so_large_but_for_one_alone(threads: Threads, work: Work) -> None:
    threads.start(Number(0, size=99))
    assert work.begun.wait(PATIENCE_SECONDS)
    for value in (1, 2, 3):
        threads.start(Number(value, size=5))
    work.go.set()
    threads.join()
    assert work.steps == [[0], [1, 2], [3]]


def test_a_failure_is_of_who_worked_and_the_others_try_again(threads: Threads, work: Work) -> None:
    wishes = [Number(n) for n in range(4)]
    threads.start(wishes[0])
    assert work.begun.wait(PATIENCE_SECONDS)
    for wish in wishes[1:]:
        threads.start(wish)
    work.fails = 2  # the one that works, and the next
    work.go.set()
    threads.join()
    assert work.steps == [[0], [1, 2, 3], [2, 3]]
    assert [type(failure) for failure in threads.failures.values()] == [ValueError, ValueError]
    assert [wish.answer for wish in wishes] == [None, None, 4, 6]


def test_who_gives_up_holds_up_nobody(threads: Threads, work: Work) -> None:
    wishes = [Number(n) for n in range(3)]
    threads.start(wishes[0])
    assert work.begun.wait(PATIENCE_SECONDS)
    threads.start(wishes[1], seconds=0)
    threads.start(wishes[2])
    work.go.set()
    threads.join()
    assert work.steps == [[0], [2]]
    assert isinstance(threads.failures[1], StorageUnavailable)


def test_queues_do_not_wait_for_each_other(threads: Threads, work: Work) -> None:
    threads.start(Number(0))
    assert work.begun.wait(PATIENCE_SECONDS)
    work.begun.clear()
    threads.start(Number(1), "another")
    assert work.begun.wait(PATIENCE_SECONDS)
    work.go.set()
    threads.join()
    assert sorted(work.steps) == [[0], [1]]
