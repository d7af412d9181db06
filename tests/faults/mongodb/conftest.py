"""Servers of their own, for tests that stop them and cut their connections."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from queueing.core.clock import ManualClock
from queueing.core.models import QueueRef
from queueing.storage.contract import Storage
from queueing.storage.registry import open_storage
from tests.contract.subject import Subject
from tests.faults.mongodb.commands import COMMANDS, Commands
from tests.support.engines.mongodb import Process, in_database, running
from tests.support.proxy import Proxy

TIMEOUT_SECONDS = 30.0

_numbers = itertools.count()


@pytest.fixture
def commands() -> Commands:
    return COMMANDS


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server in memory."""
    with running(Process(tmp_path_factory.mktemp("mongodb"))) as process:
        yield process


@pytest.fixture
def uri(engine: Process) -> str:
    """A database of the test's own on it."""
    return in_database(engine.uri, f"faults-{next(_numbers)}")


@pytest.fixture
def storage(uri: str, commands: Commands) -> Iterator[Storage]:
    opened = open_storage(uri, timeout_seconds=TIMEOUT_SECONDS)
    yield opened
    opened.close()


@pytest.fixture
def q(storage: Storage, clock: ManualClock) -> Subject:
    return Subject(storage, QueueRef("project", "q"), clock)


@pytest.fixture
def proxy(engine: Process) -> Iterator[Proxy]:
    with Proxy(engine.port) as cutting:
        yield cutting


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Process]:
    """A server of the test's own that keeps its data on disk, and may be stopped and started."""
    with running(Process(tmp_path / "mongodb", on_disk=True)) as process:
        yield process
