"""The store's clock as a node reads it: never backwards, rarely asked, never in the way."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueing.core.clock import ManualClock, StoreClock
from queueing.core.errors import StorageUnavailable

PATIENCE_SECONDS = 30.0


class World:
    """A node's monotonic clock and a store's clock, both moved by hand."""

    def __init__(self, store_ahead: float = 1_900_000_000.0) -> None:
        self.tick = 1000.0
        self.store_ahead = store_ahead
        self.asked = 0
        self.away = False
        self.round_trip = 0.0

    def monotonic(self) -> float:
        return self.tick

    def store_time(self) -> float:
        self.asked += 1
        self.tick += self.round_trip / 2
        if self.away:
            raise StorageUnavailable("away")
        told = self.tick + self.store_ahead
        self.tick += self.round_trip / 2
        return told

    def clock(self) -> StoreClock:
        return StoreClock(self.store_time, monotonic=self.monotonic)

    @property
    def store_now(self) -> float:
        return self.tick + self.store_ahead


@pytest.fixture
def world() -> World:
    return World()


def test_manual_clock_moves_by_hand_only():
    clock = ManualClock(5.0)
    assert clock.now() == 5.0
    clock.advance(2.5)
    assert clock.now() == 7.5


def test_clock_tells_the_stores_time(world):
    clock = world.clock()
    assert clock.now() == world.store_now
    world.tick += 12.5
    assert clock.now() == world.store_now


def test_store_is_asked_once_per_period_and_not_by_every_call(world):
    clock = world.clock()
    for _ in range(100):
        clock.now()
        world.tick += 0.29
    assert world.asked == 1
    world.tick += 2.0
    for _ in range(100):
        clock.now()
    assert world.asked == 2


def test_half_the_round_trip_is_taken_into_account(world):
    world.round_trip = 2.0
    assert world.clock().now() == world.store_now


def test_store_ahead_is_followed_at_half_a_second_per_second(world):
    clock = world.clock()
    clock.now()
    world.tick += 30
    world.store_ahead += 2.0
    started = clock.now()
    assert started == world.store_now - 2.0
    world.tick += 1.0
    assert clock.now() == started + 1.5
    world.tick += 3.0
    assert clock.now() == world.store_now


def test_store_behind_is_followed_by_going_half_as_fast(world):
    clock = world.clock()
    clock.now()
    world.tick += 30
    world.store_ahead -= 2.0
    started = clock.now()
    assert started == world.store_now + 2.0
    world.tick += 1.0
    assert clock.now() == started + 0.5
    world.tick += 3.0
    assert clock.now() == world.store_now


def test_correction_ends_where_the_gap_is_closed_even_if_nobody_looks_then(world):
    for change in (2.0, -2.0):
        clock = world.clock()
        clock.now()
        world.tick += 30
        world.store_ahead += change
        clock.now()
        world.tick += 25
        assert clock.now() == pytest.approx(world.store_now, abs=1e-6)


def test_store_far_ahead_is_followed_at_once(world):
    clock = world.clock()
    clock.now()
    world.tick += 30
    world.store_ahead += 3600
    assert clock.now() == world.store_now


def test_store_far_behind_is_never_followed_backwards(world):
    clock = world.clock()
    clock.now()
    world.tick += 30
    world.store_ahead -= 3600
    seen = []
    for _ in range(80):
        seen.append(clock.now())
        world.tick += 100
    assert seen == sorted(set(seen))
    assert clock.now() == pytest.approx(world.store_now, abs=1e-6)


def test_difference_within_the_error_of_measuring_it_changes_nothing(world):
    clock = world.clock()
    clock.now()
    world.tick += 30
    world.round_trip = 2.0
    world.store_ahead += 0.5
    clock.now()
    world.tick += 10
    assert clock.now() == world.store_now - 0.5
    assert world.asked == 2


def test_first_measurement_fails_if_the_store_is_away_and_the_next_call_tries_again(world):
    clock = world.clock()
    world.away = True
    with pytest.raises(StorageUnavailable):
        clock.now()
    world.away = False
    assert clock.now() == world.store_now


def test_store_away_at_a_refresh_leaves_the_time_as_it_goes_and_is_not_asked_by_every_call(world):
    clock = world.clock()
    clock.now()
    world.away = True
    for _ in range(290):
        world.tick += 0.3
        assert clock.now() == pytest.approx(world.store_now, abs=1e-6)
    assert world.asked == 3


def test_reset_measures_again_at_the_next_call(world):
    clock = world.clock()
    clock.now()
    world.store_ahead += 100
    clock.reset()
    assert clock.now() == world.store_now
    assert world.asked == 2
    clock.now()
    assert world.asked == 2


def test_reset_before_the_first_call_is_harmless(world):
    clock = world.clock()
    clock.reset()
    assert clock.now() == world.store_now


def test_store_that_is_reached_again_while_it_is_asked_may_say_so(world):
    """A driver calls `reset` from within the question for the time, also from within the first."""
    ask = world.store_time

    def asked_over_a_new_connection() -> float:
        clock.reset()
        return ask()

    clock = world.clock()
    clock._store_time = asked_over_a_new_connection
    assert clock.now() == world.store_now
    world.store_ahead += 100
    world.tick += 30
    assert clock.now() == world.store_now


def test_reset_while_somebody_measures_measures_once_more(world):
    clock = world.clock()
    clock.now()
    ask = world.store_time

    def answer_of_the_old_store() -> float:
        told = ask()
        if world.asked == 2:
            clock.reset()
            world.store_ahead += 100
        return told

    clock._store_time = answer_of_the_old_store
    world.tick += 30
    clock.now()
    assert clock.now() == world.store_now
    assert world.asked == 3


def test_error_that_is_no_outage_is_not_hidden_and_the_clock_goes_on(world):
    clock = world.clock()
    clock.now()
    ask, clock._store_time = clock._store_time, lambda: 1 / 0
    world.tick += 30
    with pytest.raises(ZeroDivisionError):
        clock.now()
    clock._store_time = ask
    assert clock.now() == world.store_now


def test_others_go_on_while_one_measures():
    world = World()
    clock = world.clock()
    clock.now()
    world.tick += 30
    world.store_ahead += 2.0
    clock.now()  # is being corrected from here on, for four seconds
    measuring, answer = threading.Event(), threading.Event()

    def slow() -> float:
        measuring.set()
        assert answer.wait(PATIENCE_SECONDS)
        return world.store_time()

    clock._store_time = slow
    clock.reset()
    measurer = threading.Thread(target=clock.now)
    measurer.start()
    try:
        assert measuring.wait(PATIENCE_SECONDS)
        for gap in (1.5, 1.0, 0.5, 0.0, 0.0):
            world.tick += 1
            assert clock.now() == world.store_now - gap
    finally:
        answer.set()
        measurer.join(PATIENCE_SECONDS)
    assert not measurer.is_alive()
    assert world.asked == 3


def test_who_waited_for_a_first_measurement_that_failed_does_not_wait_for_another():
    world = World()
    asked = threading.Event()
    waiting: list[threading.Thread] = []
    failures: list[StorageUnavailable] = []

    def slow() -> float:
        world.asked += 1
        asked.set()
        # Until all the others have read their tick and wait for the lock.
        deadline = time.monotonic() + PATIENCE_SECONDS
        while world.tick < 1004 and time.monotonic() < deadline:
            time.sleep(0.001)
        world.tick += 1
        raise StorageUnavailable("away")

    def tick_of_a_waiter() -> float:
        tick = world.tick
        if threading.current_thread() in waiting:
            world.tick += 1
            waiting.remove(threading.current_thread())
        return tick

    clock = StoreClock(slow, monotonic=tick_of_a_waiter)

    def call() -> None:
        try:
            clock.now()
        except StorageUnavailable as failure:
            failures.append(failure)

    first = threading.Thread(target=call)
    first.start()
    assert asked.wait(PATIENCE_SECONDS)
    others = [threading.Thread(target=call) for _ in range(4)]
    waiting.extend(others)
    for thread in others:
        thread.start()
    for thread in [first, *others]:
        thread.join(PATIENCE_SECONDS)
    assert len(failures) == 5
    assert world.asked == 1


@given(
    st.lists(
        st.tuples(
            st.floats(0, 40),  # seconds that pass
            st.sampled_from([0.0, 0.0, 1e-5, 0.3, -0.3, 3.0, -3.0, 60.0, -60.0]),  # the store steps
            st.sampled_from([0.0, 0.001, 1.0]),  # the round trip
            st.booleans(),  # the store is away
        ),
        max_size=30,
    )
)
def test_time_never_runs_backwards_whatever_the_store_does(moments):
    world = World()
    clock = world.clock()
    last = clock.now()
    for passed, step, round_trip, away in moments:
        world.tick += passed
        world.store_ahead += step
        world.round_trip = round_trip
        world.away = away
        now = clock.now()
        assert now >= last
        last = now


def test_no_thread_sees_a_time_before_one_that_another_has_seen():
    steps = itertools.cycle([0.0, -0.02, 0.03, -0.5, 0.4, 7.0, -3.0])
    clock = StoreClock(lambda: time.monotonic() + next(steps), refresh_seconds=0.0005)
    clock.now()
    latest = [clock.now()]
    lock = threading.Lock()
    backwards: list[float] = []

    def look(rounds: int) -> None:
        for _ in range(rounds):
            seen = latest[0]
            now = clock.now()
            if now < seen:
                backwards.append(seen - now)
            with lock:
                latest[0] = max(latest[0], now)

    run_at_once(lambda: look(10_000), threads=4)
    assert not backwards


def run_at_once(target: Callable[[], None], threads: int) -> None:
    running = [threading.Thread(target=target) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(2 * PATIENCE_SECONDS)
        assert not thread.is_alive()
