"""Processes at work while something goes wrong; the checker of histories judges what they were told.

5,600 requests in all; more than 10^5 with `QUEUEING_TEST_EXAMPLES=2000`, as `make test-long` has it.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.synchronize import Event as Flag

import pytest

from queueing.core.clock import StoreClock
from queueing.core.errors import StorageUnavailable
from queueing.core.models import QueueRef
from queueing.storage.registry import open_storage
from tests.conftest import EXAMPLES
from tests.support.clients import Client, Process, context
from tests.support.engines import mongodb
from tests.support.engines.mongodb import in_database
from tests.support.history import Event, check
from tests.support.proxy import Proxy, Where

REQUESTS = 1_400 if EXAMPLES <= 200 else 13 * EXAMPLES
"""Of each of the four runs."""

PATIENCE_SECONDS = 240.0 + REQUESTS / 10
WORKERS = 4
QUEUE = QueueRef("project", "work")

pytestmark = pytest.mark.timeout(PATIENCE_SECONDS + 60)

Tell = Callable[[str], None]


@pytest.fixture
def tell(request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]) -> Tell:
    """How far it is, in long runs: past what captures the output, also from processes of xdist."""

    def told(line: str) -> None:
        if REQUESTS > 5_000:
            with capfd.disabled():
                print(f"{request.node.name}: {line}", file=sys.stderr, flush=True)

    return told


def work(client: Client, rng: random.Random, enough: Flag) -> None:
    """Post, claim, delete, release, pop, and read on from the last marker."""
    marker = 0
    while not enough.is_set():
        with suppress(StorageUnavailable):
            client.post(rng.choice([1, 1, 1, 3, 8]))
        with suppress(StorageUnavailable):
            claim_id, ids = client.claim(rng.choice([1, 5, 10]))
            if rng.random() < 0.1:
                client.release(claim_id)
            elif rng.random() < 0.3:
                client.delete_many(ids, claim_id)
            else:
                for id in ids:
                    client.delete(id, claim_id)
        with suppress(StorageUnavailable):
            if rng.random() < 0.1:
                client.pop(2)
        with suppress(StorageUnavailable):
            marker = client.page(marker, 20)


def work_by_a_wrong_clock(client: Client, rng: random.Random, enough: Flag, ahead: float) -> None:
    """As a node does whose wall clock is ahead by so much: it asks the store what time it is."""
    wall = time.time
    time.time = lambda: wall() + ahead
    client.now = StoreClock(client.storage.time).now  # type: ignore[method-assign]  # one process's
    work(client, rng, enough)


def observe(uri: str, trouble: Callable[[], None], tell: Tell, *, every: int = 0) -> list[Event]:
    """Let workers work, and make trouble all the time, or after every so many requests."""
    enough = context().Event()
    workers = [Process(uri, QUEUE, f"worker{n}", work, enough) for n in range(WORKERS)]
    return watch(workers, enough, trouble, tell, every)


def watch(
    workers: list[Process],
    enough: Flag,
    trouble: Callable[[], None],
    tell: Tell,
    every: int = 0,
) -> list[Event]:
    """Until enough was asked."""
    try:
        for worker in workers:
            worker.wait_for_an_answer()
        began = time.monotonic()
        deadline = began + PATIENCE_SECONDS
        done = next_trouble = next_told = 0
        while done < REQUESTS:
            assert time.monotonic() < deadline, f"too slow: only {done} of {REQUESTS} requests"
            if done >= next_trouble:
                trouble()
                next_trouble = done + every
            else:
                time.sleep(0.02)
            done = sum(worker.requests for worker in workers)
            if done >= next_told:
                next_told += REQUESTS // 10
                tell(f"{done} of {REQUESTS} requests after {time.monotonic() - began:.0f} s")
    finally:
        enough.set()
    history = [event for worker in workers for event in worker.finish()]
    assert {worker.exit_code for worker in workers} == {0}
    return history


def rest(uri: str) -> list[Event]:
    storage = open_storage(uri, timeout_seconds=30.0)
    told: dict[int, Event] = {}
    Client(storage, QUEUE, "rest", told.__setitem__).rest()
    storage.close()
    return list(told.values())


def test_nothing_is_lost_or_doubled_when_the_server_is_stopped_in_the_midst(
    disk: mongodb.Process, tell: Tell
) -> None:
    """By SIGTERM: its files may lack the last second after a kill, which is no promise of ours."""
    uri = in_database(disk.uri, "restarts")
    rng = random.Random(1)
    restarts = 0

    def restart() -> None:
        nonlocal restarts
        time.sleep(rng.uniform(0, 0.1))
        disk.stop()
        disk.start()
        restarts += 1

    history = observe(uri, restart, tell, every=REQUESTS // 6)
    assert restarts >= 4
    assert check(history + rest(uri)) == []


def test_nothing_is_lost_or_doubled_when_connections_are_cut_all_the_time(
    engine: mongodb.Process, uri: str, tell: Tell
) -> None:
    with Proxy(engine.port) as proxy:
        through = uri.replace(str(engine.port), str(proxy.port))
        rng = random.Random(2)

        def cut() -> None:
            time.sleep(rng.uniform(0, 0.2))
            if rng.random() < 0.05:
                proxy.cut_all()
            else:
                where = rng.choice(list(Where))
                proxy.arm(where, lambda request: b"entries" in request, passing=rng.randrange(5))

        history = observe(through, cut, tell)
        assert proxy.sprung > 20
    assert check(history + rest(uri)) == []


def test_nothing_is_done_twice_when_the_server_is_slow_and_its_clients_ask_again(
    engine: mongodb.Process, uri: str, tell: Tell
) -> None:
    """What was asked on connections that were given up is done late, beside its repetition."""
    rounds = 0
    with Proxy(engine.port) as proxy:
        through = uri.replace(str(engine.port), str(proxy.port))
        rng = random.Random(3)

        def stall() -> None:
            nonlocal rounds
            engine.freeze()
            time.sleep(0.02)  # all workers wait for an answer
            proxy.cut_all()
            engine.thaw()
            rounds += 1
            time.sleep(rng.uniform(0, 0.02))

        history = observe(through, stall, tell, every=20)
    assert rounds >= 10
    assert check(history + rest(uri)) == []


def test_nothing_is_lost_doubled_or_out_of_order_when_clocks_are_wrong_by_an_hour(
    uri: str, tell: Tell
) -> None:
    enough = context().Event()
    workers = [
        Process(uri, QUEUE, f"worker{number}", work_by_a_wrong_clock, enough, ahead)
        for number, ahead in enumerate([-3600.0, 0.0, 3600.0, 1800.0])
    ]
    history = watch(workers, enough, lambda: time.sleep(0.1), tell)
    assert check(history + rest(uri)) == []
