"""The suite and the machine can fail: each finds every store that is broken on purpose."""

from __future__ import annotations

import pytest

from queueing.core.clock import ManualClock
from queueing.core.errors import QueueingError
from queueing.core.models import QueueRef
from queueing.storage.contract import Storage
from tests.contract.defects import DEFECTS, Defect
from tests.contract.machine import converse
from tests.contract.subject import Subject
from tests.model import ModelStorage

each_defect = pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS)


class Broken:
    def __init__(self, defect: Defect) -> None:
        storage = ModelStorage()
        defect.build_in(storage)
        self.storage: Storage = storage
        self.clock = ManualClock()

    def reopen(self) -> None:
        pass


@each_defect
def test_the_suite_finds_a_store_that(defect: Defect) -> None:
    broken = Subject(Broken(defect).storage, QueueRef("project", "q"), ManualClock())
    with pytest.raises((AssertionError, QueueingError, pytest.fail.Exception)):
        defect.caught_by(broken)
    sound = Subject(ModelStorage(), QueueRef("project", "q"), ManualClock())
    defect.caught_by(sound)


@each_defect
def test_the_machine_finds_a_store_that(defect: Defect) -> None:
    broken = Broken(defect)

    def talk() -> None:
        for seed in range(300):
            converse(broken, seed, length=50)

    with pytest.raises(AssertionError, match="expected"):
        talk()
