"""Model and driver answer any conversation alike.

`QUEUEING_TEST_EXAMPLES` says how many are held. At home each run holds others; in CI, and with
`QUEUEING_TEST_SEED`, always the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from queueing.core.clock import ManualClock
from queueing.storage.contract import Storage
from tests.contract.machine import converse
from tests.support.stores import Place, Store

EXAMPLES = int(os.environ.get("QUEUEING_TEST_EXAMPLES", "200"))
SEED = int(os.environ.get("QUEUEING_TEST_SEED") or (0 if os.environ.get("CI") else time.time()))
LENGTH = 50
PARTS = 4
"""The conversations are held in so many tests, which may run beside one another."""


class Opened:
    def __init__(self, store: Store, place: Place) -> None:
        self.storage: Storage = store.open(place)
        self.clock = ManualClock()
        self._store, self._place = store, place

    def reopen(self) -> None:
        self.storage = self._store.reopen(self.storage, self._place)


@pytest.fixture
def opened(store: Store, place: Place) -> Iterator[Opened]:
    opened = Opened(store, place)
    yield opened
    opened.storage.close()


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_driver_answers_as_the_model_does(opened: Opened, part: int) -> None:
    for seed in range(SEED + part, SEED + EXAMPLES, PARTS):
        converse(opened, seed, LENGTH)
