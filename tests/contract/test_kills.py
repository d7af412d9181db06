"""kill -9 at any moment: what was acknowledged holds, what was not is done whole or not at all."""

from __future__ import annotations

import itertools
import random
import time

import pytest

from queueing.core.models import QueueRef
from queueing.storage.contract import Storage
from tests.conftest import LONG, OPERATIONS
from tests.support.clients import CLAIM_TTL, Client, Process
from tests.support.history import Event, check
from tests.support.roles import restless

KILLS = 100
AT_ONCE = 4
LIFE_SECONDS = 0.3 if LONG else 0.03  # after the first answer, at most


@pytest.mark.timeout(3600 if LONG else 1200)
def test_a_hundred_killed_processes_break_no_promise(
    storage: Storage, storage_uri: str, project: str
) -> None:
    queue = QueueRef(project, "work")
    rng = random.Random(1)
    names = itertools.count()
    history: list[Event] = []
    told: dict[int, Event] = {}
    survivor = Client(storage, queue, "survivor", told.__setitem__)
    marker = 0

    def another() -> Process:
        return Process(storage_uri, queue, f"victim{next(names)}", restless)

    running = [another() for _ in range(AT_ONCE)]
    kills = 0
    while kills < KILLS or len(history) < OPERATIONS:
        kills += 1
        victim = running.pop(0)
        victim.wait_for_an_answer()
        time.sleep(rng.uniform(0, LIFE_SECONDS))
        victim.kill()
        # The others go on at once, and see whole batches only.
        survivor.post(2)
        claim_id, ids = survivor.claim(2)
        for id in ids:
            survivor.delete(id, claim_id)
        marker = survivor.page(marker, 1_000_000)
        history += victim.finish()
        assert victim.exit_code == -9
        running.append(another())
    for victim in running:
        victim.kill()
        history += victim.finish()

    # What the dead held is free when their claims are over, and can be served to the last.
    late: dict[int, Event] = {}
    heir = Client(storage, queue, "heir", late.__setitem__, ahead=CLAIM_TTL + 60)
    survivor.rest()
    while True:
        claim_id, ids = heir.claim(50)
        if not ids:
            break
        heir.delete_many(ids, claim_id)
    assert heir.is_empty()

    history += [*told.values(), *late.values()]
    assert check(history) == []
    inherited = [m.id for e in late.values() if e.verb == "claim" for m in e.messages]
    rest = [m.id for e in told.values() if e.verb == "rest" for m in e.messages]
    assert inherited == rest
    assert any(event.end is None for event in history), "nobody was killed within a request"
