"""One Redis for the tests of a file, which keep to projects of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from queueing.core.clock import ManualClock
from queueing.core.models import QueueRef
from queueing.storage.redis import driver
from queueing.storage.redis.driver import RedisStorage
from tests.contract.subject import Subject
from tests.support.engines.redis import Process, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with running(Process(tmp_path_factory.mktemp("redis"))) as process:
        yield process


@pytest.fixture
def storage(server: Process) -> Iterator[RedisStorage]:
    storage = driver.open(server.uri, timeout_seconds=30)
    yield storage
    storage.close()


@pytest.fixture
def q(storage: RedisStorage, project: str, clock: ManualClock) -> Subject:
    return Subject(storage, QueueRef(project, "q"), clock)
