"""`queueing collect` sweeps what is over and says how much; `queueing serve` does it by itself."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from io import StringIO
from pathlib import Path

import pytest

from queueing.cli.collect import sweep
from queueing.config import Settings
from queueing.core.clock import StoreClock
from queueing.core.models import Draft, QueueRef, request_token
from queueing.service.sweeping import Sweeper
from queueing.storage.contract import Storage
from queueing.storage.registry import open_storage
from queueing.wiring import build
from tests.model import ModelStorage
from tests.support.server import COMMAND, DEADLINE, environment, run

QUEUE = QueueRef("project", "demo")
OVER = 450  # more than one step of the sweeper takes


@pytest.fixture
def storage_uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'queueing.db'}"


def post_messages_that_are_over(storage: Storage) -> None:
    drafts = [Draft(body=b"1", ttl=60)] * OVER
    then = time.time() - 3600
    storage.messages.post(QUEUE, drafts, client_id="", token=request_token(), version="", now=then)


def seed(uri: str) -> None:
    storage = open_storage(uri)
    post_messages_that_are_over(storage)
    storage.close()


def test_what_is_over_is_swept_and_counted(tmp_path: Path, storage_uri: str) -> None:
    seed(storage_uri)
    first = run("collect", "--storage", storage_uri, directory=tmp_path)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == f"swept {OVER}, forwarded 0 dead letters\n"
    again = run("collect", directory=tmp_path, storage=storage_uri)
    assert again.stdout == "swept 0, forwarded 0 dead letters\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_every_so_often_until_it_is_told_to_stop(
    tmp_path: Path, storage_uri: str, number: signal.Signals
) -> None:
    command = [*COMMAND, "collect", "--every", "0.1", "--storage", storage_uri]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "swept 0, forwarded 0 dead letters\n"
        seed(storage_uri)
        swept = 0
        while swept < OVER:  # a pass may begin while another store is still posting
            swept += int(process.stdout.readline().split()[1].rstrip(","))
        process.send_signal(number)
        rest, errors = process.communicate(timeout=DEADLINE)
        assert (process.returncode, rest, errors) == (0, "", "")


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_a_count_that_grows(
    monkeypatch: pytest.MonkeyPatch, storage_uri: str
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    storage = open_storage(storage_uri)
    post_messages_that_are_over(storage)
    swept = sweep(Sweeper(storage, StoreClock(storage.time)))
    storage.close()
    assert swept.collected == OVER
    assert f"swept {OVER}" in sys.stderr.getvalue()


def test_what_is_no_terminal_sees_no_bar(monkeypatch: pytest.MonkeyPatch, storage_uri: str) -> None:
    monkeypatch.setattr(sys, "stderr", StringIO())
    storage = open_storage(storage_uri)
    post_messages_that_are_over(storage)
    sweep(Sweeper(storage, StoreClock(storage.time)))
    storage.close()
    assert sys.stderr.getvalue() == ""


def test_a_store_that_cannot_be_opened_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    done = run("collect", "--storage", "sqlite:////proc/queueing.db", directory=tmp_path)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert line.startswith("queueing: ")


class Watched(ModelStorage):
    """Notes what was swept."""

    def __init__(self) -> None:
        super().__init__()
        self.swept = 0
        self.done = threading.Event()

    def collect(self, *, now: float, limit: int) -> int:
        count = super().collect(now=now, limit=limit)
        self.swept += count
        if self.swept >= OVER:
            self.done.set()
        return count


def test_a_serving_process_sweeps_by_itself() -> None:
    storage = Watched()
    post_messages_that_are_over(storage)
    node = build(Settings(collect_seconds=0.01), storage=storage)
    node.start()
    try:
        assert storage.done.wait(DEADLINE)
    finally:
        node.close()


def test_a_serving_process_leaves_it_to_the_command_if_it_is_told_to() -> None:
    storage = Watched()
    post_messages_that_are_over(storage)
    before = threading.active_count()
    node = build(Settings(collect_seconds=0), storage=storage)
    node.start()
    assert threading.active_count() == before
    node.close()
    assert storage.swept == 0
