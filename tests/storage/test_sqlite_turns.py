"""Turns to write: whoever waits gets one or is told so in time, whatever becomes of the others."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import pytest

from queueing.core.errors import StorageUnavailable
from queueing.storage.sqlite.turns import Line, Turns
from tests.contract.subject import Subject, bodies
from tests.storage.conftest import Open

SPAWN = multiprocessing.get_context("spawn")
SOON = 0.05
LATER = 30.0


def hold(path: Path, pipe: Pipe) -> None:
    """Another process: it has the turn until it is told to give it back."""
    turns = Turns(path)
    turns.take(LATER)
    pipe.send("mine")
    pipe.recv()
    turns.give()
    pipe.send("given")
    pipe.recv()


@contextmanager
def another_holding(file: Path) -> Iterator[tuple[Pipe, int]]:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=hold, args=(file, theirs))
    process.start()
    theirs.close()
    assert ours.recv() == "mine"
    assert process.pid
    try:
        yield ours, process.pid
    finally:
        process.kill()
        process.join()


@pytest.fixture
def turns(file: Path) -> Iterator[Turns]:
    turns = Turns(file)
    yield turns
    turns.close()


def test_threads_are_served_in_the_order_in_which_they_came() -> None:
    line = Line()
    assert line.acquire(LATER)
    served: list[int] = []

    def come(number: int) -> None:
        assert line.acquire(LATER)
        served.append(number)
        line.release()

    threads = [threading.Thread(target=come, args=(number,)) for number in range(8)]
    for number, thread in enumerate(threads):
        thread.start()
        while len(line._waiting) <= number:
            time.sleep(0.001)
    line.release()
    for thread in threads:
        thread.join()
    assert served == list(range(8))


def test_a_thread_that_gave_up_is_passed_over() -> None:
    line = Line()
    assert line.acquire(LATER)
    assert not line.acquire(SOON)
    line.release()
    assert line.acquire(SOON)


def test_who_waits_too_long_is_told_so(turns: Turns, file: Path) -> None:
    with another_holding(file), pytest.raises(StorageUnavailable, match=r"0\.05 s"):
        turns.take(SOON)


def test_the_turn_comes_when_the_other_process_gives_it(turns: Turns, file: Path) -> None:
    with another_holding(file) as (pipe, _):
        pipe.send("give")
        turns.take(LATER)
        turns.give()


def test_the_turn_of_a_killed_process_is_free(turns: Turns, file: Path) -> None:
    with another_holding(file) as (_, pid):
        os.kill(pid, signal.SIGKILL)
        turns.take(LATER)
        turns.give()


def test_who_waits_at_the_door_gets_there_or_gives_up_and_may_come_back(
    turns: Turns, file: Path
) -> None:
    second = Turns(file)  # another opening of the lock files is like another process
    with another_holding(file) as (pipe, _):
        at_the_door = threading.Thread(target=second.take, args=(LATER,))
        at_the_door.start()
        while turns._locks.acquire(time.monotonic()):  # until the other one is at the door
            turns._locks.release()
            time.sleep(0.001)
        for _ in range(3):
            with pytest.raises(StorageUnavailable):
                turns.take(SOON)
        pipe.send("give")
        at_the_door.join()
        second.give()
        # Who gave up has left nothing behind, and may come again.
        second.take(LATER)
        second.give()
        turns.take(LATER)
        turns.give()
    second.close()


def test_a_place_in_the_queue_that_was_given_up_is_no_turn(turns: Turns, file: Path) -> None:
    second = Turns(file)
    second.take(LATER)
    with pytest.raises(StorageUnavailable):
        turns.take(SOON)
    second.give()
    for _ in range(100):
        second.take(LATER)
        second.give()
    turns.take(LATER)
    turns.give()
    second.close()


def test_requests_fail_in_time_and_go_on_when_another_program_lets_go(
    q: Subject, file: Path, open_file: Open
) -> None:
    hurried = Subject(open_file(timeout_seconds=SOON), q.ref, q.clock)
    q.post(b"a")
    another = sqlite3.connect(file, isolation_level=None)
    another.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailable):
        hurried.post(b"b")
    assert bodies(hurried.page()) == [b"a"]  # readers do not wait
    another.execute("ROLLBACK")
    another.close()
    hurried.post(b"c")
    assert bodies(q.page()) == [b"a", b"c"]
