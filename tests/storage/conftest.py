"""A SQLite file that this test may open, lock, break."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from queueing.core.clock import ManualClock
from queueing.core.models import QueueRef
from queueing.storage.contract import Storage
from queueing.storage.registry import open_storage
from tests.contract.subject import Subject

Open = Callable[..., Storage]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "queueing.db"


@pytest.fixture
def open_file(file: Path) -> Iterator[Open]:
    """Open the file, as often as wanted; all is closed in the end."""
    opened: list[Storage] = []

    def open_one(*, timeout_seconds: float = 30.0, options: str = "") -> Storage:
        opened.append(open_storage(f"sqlite:///{file}{options}", timeout_seconds=timeout_seconds))
        return opened[-1]

    yield open_one
    for storage in opened:
        storage.close()


@pytest.fixture
def q(open_file: Open, clock: ManualClock) -> Subject:
    """A queue in the file."""
    return Subject(open_file(), QueueRef("project", "q"), clock)
