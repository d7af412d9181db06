"""Servers that these tests cut off, stop and kill: each has its own, that it may harm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from queueing.core.clock import ManualClock
from queueing.core.models import QueueRef
from queueing.storage.redis import driver
from queueing.storage.redis.driver import RedisStorage
from tests.contract.subject import Subject
from tests.faults.redis.proxy import Proxy
from tests.support.engines.redis import Process, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One Redis for the tests of a file, which leave it alive and themselves in their own project."""
    with running(Process(tmp_path_factory.mktemp("redis"))) as process:
        yield process


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Process]:
    """One Redis for one test, which may kill it: it loses nothing by that."""
    arguments = ("--appendonly", "yes", "--appendfsync", "always")
    with running(Process(tmp_path / "redis", arguments)) as process:
        yield process


@pytest.fixture
def proxy(server: Process) -> Iterator[Proxy]:
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def storage(proxy: Proxy) -> Iterator[RedisStorage]:
    """The server, behind the proxy. Patient: what is to be tried again, is."""
    storage = driver.open(f"redis://127.0.0.1:{proxy.port}", timeout_seconds=30)
    yield storage
    storage.close()


@pytest.fixture
def q(storage: RedisStorage, project: str, clock: ManualClock) -> Subject:
    return Subject(storage, QueueRef(project, "q"), clock)
