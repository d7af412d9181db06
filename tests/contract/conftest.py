"""What each rule of the contract is tried on: an open store, a queue that is new, a clock in hand."""

from __future__ import annotations

import pytest

from queueing.core.clock import ManualClock
from queueing.core.models import QueueRef
from queueing.storage.contract import Storage
from tests.contract.subject import Subject


@pytest.fixture
def q(storage: Storage, project: str, clock: ManualClock) -> Subject:
    """A queue that does not exist yet."""
    return Subject(storage, QueueRef(project, "q"), clock)
