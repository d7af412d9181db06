"""Sweeping ends, also at times that are the same to the sorted sets and not to the records."""

from __future__ import annotations

import math
from threading import Thread

from queueing.core.models import DeadLetterRule
from queueing.storage.redis import driver
from queueing.storage.redis.driver import RedisStorage
from queueing.storage.redis.records import microseconds
from tests.contract.subject import MOMENT, Subject
from tests.support.engines.redis import Process

DEADLINE = 30.0
RULE = DeadLetterRule("dead", max_claims=1)


def collected(storage: RedisStorage, now: float) -> int:
    """How many were swept by one step, which must come to its end."""
    found: list[int] = []
    step = Thread(target=lambda: found.append(storage.collect(now=now, limit=100)), daemon=True)
    step.start()
    step.join(DEADLINE)
    assert found, "it does not end"
    return found[0]


def test_a_letter_that_is_over_within_the_same_microsecond_does_not_hold_up_the_sweep(
    server: Process, q: Subject
) -> None:
    # A namespace of its own: what other tests left on the server would be swept with it.
    storage = driver.open(f"{server.uri}?namespace=moment", timeout_seconds=DEADLINE * 2)
    q = Subject(storage, q.ref, q.clock)
    q.post(b"a", ttl=60)
    q.release(q.take(1, rule=RULE).id)
    (letter,) = q.claim(rule=RULE).dead_letters
    ends = letter.message.expires_at
    just_before = math.nextafter(ends, 0)
    assert microseconds(just_before) == microseconds(ends)
    q.clock.advance(ends - q.now - MOMENT)
    collected(storage, q.now)
    assert collected(storage, just_before) == 0
    assert len(q.pile()) == 1
    assert collected(storage, ends + 1) == 1
    assert q.pile() == []
    storage.close()
