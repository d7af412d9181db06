"""Readiness: soon told, seldom asked of the store."""

from __future__ import annotations

import threading
import time

from queueing.core.errors import StorageUnavailable
from queueing.service import readiness
from queueing.service.readiness import AWAY, LEAVING, SLOW, Readiness


def test_a_store_that_does_not_answer_is_asked_once_and_waited_for_no_longer() -> None:
    answers, asked = threading.Event(), []

    def ping() -> None:
        asked.append(1)
        answers.wait(60)

    ready = Readiness(ping, bool)
    assert [ready.obstacle() for _ in range(20)] == [SLOW] * 20
    assert len(asked) == 1
    answers.set()
    deadline = time.monotonic() + 60
    while ready.obstacle() is not None:
        assert time.monotonic() < deadline


def test_a_store_that_is_away_is_told_and_asked_again_later() -> None:
    asked = []

    def ping() -> None:
        asked.append(time.monotonic())
        if len(asked) == 1:
            raise StorageUnavailable("away")

    ready = Readiness(ping, bool)
    assert ready.obstacle() == AWAY
    deadline = time.monotonic() + 60
    while ready.obstacle() == AWAY:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert ready.obstacle() is None
    assert asked[1] - asked[0] >= readiness.FRESH_SECONDS


def test_many_who_ask_at_once_cost_the_store_one_answer() -> None:
    asked: list[int] = []
    ready = Readiness(lambda: asked.append(1), bool)
    threads = [threading.Thread(target=ready.obstacle) for _ in range(50)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) <= 1 + (time.monotonic() - began) / readiness.FRESH_SECONDS


def test_who_leaves_does_not_ask_the_store() -> None:
    asked: list[int] = []
    assert Readiness(lambda: asked.append(1), lambda: True).obstacle() == LEAVING
    assert not asked
