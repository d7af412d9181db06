"""The pipes beside a SQLite file: there while somebody listens, and no trouble when he is gone."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from queueing.core.models import Draft, QueueRef
from queueing.storage.contract import UNKNOWN
from queueing.storage.sqlite.announcing import Announcements

QUEUE = QueueRef("project", "q")
PATIENCE_SECONDS = 60.0


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not met():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.002)


def pipes(database: Path) -> list[str]:
    directory = Path(f"{database}-listeners")
    return os.listdir(directory) if directory.exists() else []


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "queueing.db"


def test_nothing_is_made_where_nobody_listens(database: Path) -> None:
    teller = Announcements(database)
    teller.tell(QUEUE, 1)
    teller.tell_posted(QUEUE, [Draft(b"1", 60, 60)])
    assert list(database.parent.iterdir()) == []


def test_a_pipe_is_there_as_long_as_something_is_followed(database: Path) -> None:
    listener = Announcements(database)
    listener.listen(lambda queue, count: None)
    assert listener.follow(QUEUE) and listener.follow(QueueRef("project", "other"))
    assert len(pipes(database)) == 1
    listener.unfollow(QUEUE)
    assert len(pipes(database)) == 1
    listener.unfollow(QueueRef("project", "other"))
    assert pipes(database) == []


def test_only_the_owner_can_read_or_write_a_pipe(database: Path) -> None:
    listener = Announcements(database)
    listener.listen(lambda queue, count: None)
    listener.follow(QUEUE)
    directory = Path(f"{database}-listeners")
    assert directory.stat().st_mode & 0o077 == 0
    assert (directory / pipes(database)[0]).stat().st_mode & 0o077 == 0
    listener.close()


def follow_and_die(database: Path) -> None:
    listener = Announcements(database)
    listener.listen(lambda queue, count: None)
    listener.follow(QUEUE)
    os._exit(0)


def test_the_pipe_of_a_dead_process_is_cleared_away_by_who_posts_next(database: Path) -> None:
    process = get_context("spawn").Process(target=follow_and_die, args=(database,))
    process.start()
    process.join(PATIENCE_SECONDS)
    assert len(pipes(database)) == 1
    teller = Announcements(database)
    teller.tell(QUEUE, 1)
    assert pipes(database) == []
    teller.close()


def test_who_cannot_keep_up_is_told_that_something_may_be_missing(database: Path) -> None:
    heard: list[int] = []
    held = threading.Event()

    def hear(queue: QueueRef, count: int) -> None:
        assert held.wait(PATIENCE_SECONDS)
        heard.append(count)

    listener, teller = Announcements(database), Announcements(database)
    listener.listen(hear)
    listener.follow(QUEUE)
    for _ in range(10_000):
        teller.tell(QUEUE, 1)
    held.set()
    until(lambda: UNKNOWN in heard)
    assert heard.count(1) < 10_000
    teller.tell(QUEUE, 7)
    until(lambda: 7 in heard)
    listener.close()
    teller.close()


def test_new_listeners_are_found_however_soon_they_come(database: Path) -> None:
    """The time of the directory may be the same before and after."""
    teller = Announcements(database)
    for number in range(50):
        heard: list[int] = []
        listener = Announcements(database)
        listener.listen(lambda queue, count, heard=heard: heard.append(count))
        teller.tell(QUEUE, 1)
        listener.follow(QUEUE)
        teller.tell(QUEUE, number)
        until(lambda heard=heard, number=number: number in heard)
        listener.close()
    teller.close()


def test_where_no_pipe_can_be_made_nothing_is_followed(database: Path) -> None:
    Path(f"{database}-listeners").write_text("a file is in the way")
    listener = Announcements(database)
    listener.listen(lambda queue, count: None)
    assert not listener.follow(QUEUE)
    listener.unfollow(QUEUE)
    listener.tell(QUEUE, 1)  # what was committed does not fail with it
    listener.close()


def test_a_forked_process_leaves_its_parents_pipe_alone(database: Path) -> None:
    heard: list[int] = []
    listener, teller = Announcements(database), Announcements(database)
    listener.listen(lambda queue, count: heard.append(count))
    listener.follow(QUEUE)
    child = os.fork()
    if child == 0:
        try:
            listener.close()
            teller.tell(QUEUE, 5)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    until(lambda: 5 in heard)
    assert len(pipes(database)) == 1
    teller.tell(QUEUE, 6)
    until(lambda: 6 in heard)
    listener.close()
    teller.close()
