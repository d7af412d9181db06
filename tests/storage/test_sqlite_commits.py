"""Threads that write at once share one commit, each with its own answer and its own failure."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from queueing.core.errors import StorageUnavailable
from queueing.core.models import QueueRef
from queueing.storage.registry import open_storage
from queueing.storage.sqlite.connection import Connection
from queueing.storage.sqlite.driver import SQLiteStorage
from tests.storage.conftest import Open

Act = Callable[[sqlite3.Connection], object]
DEADLINE = 60.0


class Steps:
    """Steps of several threads that meet: each begins to wait before the first one is done."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.statements: list[str] = []
        with connection.step() as db:
            db.execute("CREATE TABLE notes (text UNIQUE)")
            db.execute(
                "CREATE TABLE links (note REFERENCES notes (text) DEFERRABLE INITIALLY DEFERRED)"
            )
        connection.writer().execute("PRAGMA foreign_keys = ON")
        connection.writer().set_trace_callback(self.statements.append)

    def meet(self, *acts: Act) -> list[Future[None]]:
        with ThreadPoolExecutor(len(acts)) as threads:
            with self.connection.step() as db:
                futures = []
                for number, act in enumerate(acts[1:], 1):
                    futures.append(threads.submit(self._step, act))
                    self._wait_for_waiters(number)
                acts[0](db)
            wait(futures, DEADLINE)
        return futures

    def _step(self, act: Act) -> None:
        with self.connection.step() as db:
            act(db)

    def _wait_for_waiters(self, number: int) -> None:
        deadline = time.monotonic() + DEADLINE
        while len(self.connection._turns._line._waiting) < number:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def notes(self) -> list[str]:
        with self.connection.read() as db:
            return [text for (text,) in db.execute("SELECT text FROM notes ORDER BY text")]

    def commits(self) -> int:
        return self.statements.count("COMMIT")


@pytest.fixture
def steps(open_file: Open, monkeypatch: pytest.MonkeyPatch) -> Steps:
    # However slow the machine is, all who wait belong to the group.
    monkeypatch.setattr("queueing.storage.sqlite.steps.MOST_SECONDS", DEADLINE)
    storage = open_file()
    assert isinstance(storage, SQLiteStorage)
    return Steps(storage._connection)


def note(text: str) -> Act:
    return lambda db: db.execute("INSERT INTO notes VALUES (?)", (text,))


def fail(db: sqlite3.Connection) -> None:
    note("of the one that fails")(db)
    raise ValueError("mine")


def dangle(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO links VALUES ('nothing')")


def test_steps_that_meet_share_one_commit(steps: Steps) -> None:
    for future in steps.meet(*map(note, "abcdefgh")):
        future.result()
    assert steps.commits() == 1
    assert steps.notes() == list("abcdefgh")


def test_steps_that_do_not_meet_open_no_savepoint(steps: Steps) -> None:
    for text in "ab":
        steps.meet(note(text))
    assert steps.commits() == 2
    assert not [line for line in steps.statements if "SAVEPOINT" in line]


@pytest.mark.parametrize("position", [1, 2, 3])
def test_a_step_that_fails_is_undone_alone(steps: Steps, position: int) -> None:
    acts = [note("a"), note("b"), note("c")]
    acts.insert(position, fail)
    futures = steps.meet(*acts)
    with pytest.raises(ValueError, match="mine"):
        futures.pop(position - 1).result()
    for future in futures:
        future.result()
    assert steps.commits() == 1
    assert steps.notes() == ["a", "b", "c"]


def test_the_first_step_that_fails_takes_nobody_along(steps: Steps) -> None:
    with pytest.raises(ValueError, match="mine"):
        steps.meet(fail, note("b"), note("c"))
    assert steps.notes() == ["b", "c"]


def test_a_later_step_sees_what_an_earlier_one_did_and_only_that(steps: Steps) -> None:
    seen: list[list[tuple[str]]] = []

    def look(db: sqlite3.Connection) -> None:
        seen.append(db.execute("SELECT text FROM notes").fetchall())
        assert steps.notes() == []  # others see what is committed

    for future in steps.meet(note("a"), fail, look)[1:]:
        future.result()
    assert seen == [[("a",)]]


def test_a_commit_that_fails_fails_them_all(steps: Steps) -> None:
    with pytest.raises(StorageUnavailable):
        steps.meet(note("a"), dangle, note("c"))
    assert steps.notes() == []
    steps.meet(note("d"))
    assert steps.notes() == ["d"]


def test_a_refusal_that_rests_on_a_commit_that_fails_is_not_told(steps: Steps) -> None:
    def refuse(db: sqlite3.Connection) -> None:
        assert db.execute("SELECT 1 FROM notes WHERE text = 'a'").fetchone()
        raise ValueError("it is there")

    with pytest.raises(StorageUnavailable):
        steps.meet(note("a"), refuse, dangle)


def test_a_store_that_is_closed_meanwhile_keeps_what_was_done(steps: Steps) -> None:
    with ThreadPoolExecutor(2) as threads:
        with steps.connection.step() as db:
            note("a")(db)
            closing = threads.submit(steps.connection.close)
            steps._wait_for_waiters(1)
        closing.result(DEADLINE)
    path = steps.connection.path
    with sqlite3.connect(path) as again:
        assert again.execute("SELECT text FROM notes").fetchall() == [("a",)]
    again.close()


VICTIM = """
import sys, threading
from queueing.core.models import Draft, QueueRef, request_token
from queueing.storage.registry import open_storage

storage = open_storage(sys.argv[1], timeout_seconds=30)
said = threading.Lock()

def work():
    while True:
        posted = storage.messages.post(
            QueueRef("p", "q"), [Draft(b"1", 3600)],
            client_id="c", token=request_token(), version="", now=1.0,
        )
        with said:
            print(*posted.ids, flush=True)

for _ in range(8):
    threading.Thread(target=work).start()
"""


def test_what_was_answered_is_there_after_kill_9_in_the_middle_of_shared_commits(
    file: Path,
) -> None:
    uri, answered = f"sqlite:///{file}", set[str]()
    open_storage(uri, timeout_seconds=30).close()
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", VICTIM, uri], stdout=subprocess.PIPE, text=True
        ) as victim:
            assert victim.stdout is not None
            killer = threading.Timer(DEADLINE, victim.kill)
            killer.start()
            lines = [victim.stdout.readline() for _ in range(100)]
            victim.kill()
            lines += victim.stdout.readlines()
            killer.cancel()
        answered |= {line.strip() for line in lines if line.endswith("\n")}
    assert len(answered) >= 500
    storage = open_storage(uri, timeout_seconds=30)
    try:
        for id in answered:
            assert storage.messages.get(QueueRef("p", "q"), [id], now=2.0), id
    finally:
        storage.close()
