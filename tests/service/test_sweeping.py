"""Sweeping: bounded steps, until nothing is left; outages are said once; piles are finished."""

from __future__ import annotations

import logging
import threading
import time
from typing import cast

import pytest

from queueing.core.errors import StorageUnavailable
from queueing.core.models import QueueRef
from queueing.service.sweeping import CHUNK, BackgroundSweeper, Sweeper
from queueing.storage.contract import Storage
from tests.service.interposed import unavailable

PATIENCE_SECONDS = 60.0
ACCEPT, CLEAR = "messages.accept_dead_letters", "messages.clear_dead_letters"


class Ticks:
    """A monotonic clock that goes one second further whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture(autouse=True)
def _nothing_left_of_other_tests(storage, clock) -> None:
    """A server may serve many tests one after the other; each sweeps all of it."""
    while any(Sweeper(storage, clock).sweep()):
        pass


@pytest.fixture
def sweeper(node) -> Sweeper:
    return Sweeper(cast(Storage, node.store), node.clock)


@pytest.fixture
def waste(node, queue):
    """More messages that are over than two steps sweep; how many."""
    return lay_waste(node, queue)


def lay_waste(node, queue):
    number = 2 * CHUNK + 5
    node.post(queue, *[b"1"] * number, ttl=60)
    node.clock.advance(60)
    node.steps.clear()
    return number


def bury_interrupted(node, queue, target):
    """Leave a message of the queue on its pile; its id."""
    node.configure(queue, _dead_letter_queue=target.name, _max_claim_count=1)
    (id,) = node.post(queue, b"1")
    node.claim_and_release(queue, 1)
    node.store.before(ACCEPT, unavailable)
    with pytest.raises(StorageUnavailable):
        node.claim(queue)
    return id


def collecting_steps(node):
    return node.steps.count("collect")


def test_pass_sweeps_in_steps_until_nothing_is_left(node, sweeper, waste):
    assert sweeper.sweep().collected >= waste
    assert collecting_steps(node) >= 3
    assert sweeper.sweep().collected == 0
    assert node.storage.collect(now=node.clock.now(), limit=10) == 0


def test_pass_sweeps_nothing_that_is_not_over(node, sweeper, queue):
    node.post(queue, b"1", b"2", ttl=60)
    node.claim(queue, limit=1, ttl=60)
    node.clock.advance(59)
    sweeper.sweep()
    assert len(node.all(queue)) == 2
    assert node.queues.stats(queue)[:2] == (1, 1)


def test_pass_ends_when_its_time_is_spent_and_the_next_goes_on(node, waste):
    sweeper = Sweeper(cast(Storage, node.store), node.clock, monotonic=Ticks())
    assert 0 < sweeper.sweep(budget_seconds=1).collected < waste
    assert collecting_steps(node) == 1
    sweeper.sweep()
    assert sweeper.sweep().collected == 0


def test_no_pass_is_in_vain_however_little_time_it_has(node, sweeper, queue, morgue, project):
    bury_interrupted(node, queue, morgue)
    bury_interrupted(node, QueueRef(project, "second"), morgue)
    waste = lay_waste(node, QueueRef(project, "third"))
    swept = sweeper.sweep(budget_seconds=0)
    assert swept.forwarded == 1
    assert 0 < swept.collected < waste
    assert sweeper.sweep(budget_seconds=0).forwarded == 1


def test_pass_ends_after_the_step_it_is_at_when_it_is_told_to_stop(node, sweeper, waste):
    node.store.after("collect", sweeper.stop.set)
    assert sweeper.sweep().collected < waste
    assert collecting_steps(node) == 1


@pytest.mark.parametrize("step", [ACCEPT, CLEAR])
def test_interrupted_forwards_are_finished_without_anybody_claiming(
    node, sweeper, queue, morgue, step
):
    id = bury_interrupted(node, queue, morgue)
    node.store.before(step, unavailable)
    with pytest.raises(StorageUnavailable):
        sweeper.sweep()
    assert sweeper.sweep().forwarded == 1
    assert [message.id for message in node.all(morgue)] == [id]
    assert queue not in node.storage.piles(limit=1000)
    assert sweeper.sweep().forwarded == 0


def test_pile_whose_target_is_away_stops_neither_the_others_nor_the_sweeping(
    node, sweeper, queue, morgue, project
):
    bury_interrupted(node, queue, morgue)
    bury_interrupted(node, QueueRef(project, "second"), morgue)
    lay_waste(node, QueueRef(project, "third"))
    node.store.before(ACCEPT, unavailable)
    node.steps.clear()
    with pytest.raises(StorageUnavailable):
        sweeper.sweep()
    assert len(node.all(morgue)) == 1
    assert collecting_steps(node) >= 3
    assert sweeper.sweep().forwarded == 1


def test_sweeper_and_claimer_that_forward_the_same_pile_move_it_once(
    node, other, sweeper, queue, morgue
):
    bury_interrupted(node, queue, morgue)
    node.store.before(ACCEPT, lambda: other.claim(queue))
    sweeper.sweep()
    assert len(node.all(morgue)) == 1
    assert queue not in node.storage.piles(limit=1000)


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_outage_is_said_once_when_it_begins_and_once_when_it_ends(node, sweeper, caplog):
    caplog.set_level(logging.INFO, logger="queueing.service.sweeping")
    node.store.before("collect", None, *[unavailable] * 5, None, *[unavailable] * 3)
    background = BackgroundSweeper(sweeper, 0.001)
    background.start()
    try:
        wait_until(lambda: collecting_steps(node) >= 12)
    finally:
        assert background.stop(PATIENCE_SECONDS)
    said = [record.levelname for record in caplog.records]
    assert said == ["WARNING", "INFO", "WARNING", "INFO"]


def test_background_sweeping_sweeps_and_stops_without_waiting_for_its_next_pass(node, waste):
    background = BackgroundSweeper(Sweeper(cast(Storage, node.store), node.clock), 0.01)
    background.start()
    wait_until(lambda: node.storage.collect(now=node.clock.now(), limit=1) == 0)
    assert background.stop(PATIENCE_SECONDS)
    idle = BackgroundSweeper(Sweeper(cast(Storage, node.store), node.clock), 86_400)
    idle.start()
    assert idle.stop(PATIENCE_SECONDS)
    assert not [thread for thread in threading.enumerate() if thread.name == "sweeper"]


def test_sweeping_that_never_started_is_stopped(sweeper):
    assert BackgroundSweeper(sweeper, 1).stop()
