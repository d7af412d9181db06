"""What is counted at the store is the same whichever store it is, and the store is the same as without."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from queueing.core.clock import ManualClock
from queueing.core.errors import MessageIsClaimed, StaleSettings, StorageUnavailable
from queueing.core.models import ClaimTerms, DeadLetterRule, Draft, QueueRef, request_token
from queueing.metrics.place import Place
from queueing.metrics.recorder import Recorder
from queueing.service.dead_letters import DeadLetters
from queueing.service.health import SelfTest
from queueing.storage.contract import Announces, Storage
from queueing.storage.instrumented import instrumented
from tests.support.metrics import by, total

RULE = DeadLetterRule("dead", 1)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    (tmp_path / "metrics").mkdir()
    with socket.socket() as nobody:
        recorder = Recorder(Place(tmp_path / "metrics", nobody), most_queues=10)
        yield recorder
        recorder.close()


@pytest.fixture
def registry(tmp_path: Path, recorder: Recorder) -> CollectorRegistry:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(tmp_path / "metrics"))
    return registry


def post(storage: Storage, queue: QueueRef, number: int, now: float) -> tuple[str, ...]:
    drafts = [Draft(b"1", 3600)] * number
    token = request_token()
    return storage.messages.post(queue, drafts, client_id="", token=token, version="", now=now).ids


def test_messages_are_counted_as_the_store_says(
    storage: Storage,
    recorder: Recorder,
    registry: CollectorRegistry,
    project: str,
    clock: ManualClock,
) -> None:
    watched, queue, now = (
        instrumented(storage, recorder.around),
        QueueRef(project, "q"),
        clock.now(),
    )
    ids = post(watched, queue, 7, now)
    terms = ClaimTerms(60, 60, 2, RULE)
    claimed = watched.claims.claim(queue, terms, token=request_token(), version="", now=now)
    assert claimed.claim is not None
    with pytest.raises(MessageIsClaimed):
        watched.messages.delete(queue, ids[0], claim_id=None, now=now)
    watched.messages.delete(queue, ids[0], claim_id=claimed.claim.id, now=now)
    watched.messages.delete_many(queue, ids[2:4], claim_ids=None, now=now)
    assert len(watched.messages.pop(queue, 1, token=request_token(), now=now)) == 1
    with pytest.raises(StaleSettings):
        watched.messages.post(
            queue, [Draft(b"1", 60)], client_id="", token=request_token(), version="x", now=now
        )
    clock.advance(120)  # the claim is over: what it held is claimed too often now
    terms = terms._replace(limit=1)
    token = request_token()
    claimed = watched.claims.claim(queue, terms, token=token, version="", now=clock.now())
    assert DeadLetters(watched, clock).forward(queue, claimed.dead_letters) == 1
    found = list(registry.collect())
    counted = {
        name: by(found, f"queueing_messages_{name}_total", "queue")
        for name in ("posted", "claimed", "deleted", "dead_lettered")
    }
    assert counted == {
        "posted": {"q": 7},
        "claimed": {"q": 3},
        "deleted": {"q": 4},
        "dead_lettered": {"q": 1},
    }
    calls = by(found, "queueing_store_call_duration_seconds_count", "operation")
    assert (calls["messages.post"], calls["messages.delete"], calls["claims.claim"]) == (2, 2, 2)
    assert total(found, "queueing_store_errors_total") == 0  # those were answers


def test_a_store_that_is_watched_is_as_able_as_before(
    storage: Storage, recorder: Recorder, clock: ManualClock
) -> None:
    watched = instrumented(storage, recorder.around)
    assert isinstance(watched, Announces) is isinstance(storage, Announces)
    assert watched.resends is storage.resends
    called: list[int] = []
    watched.on_reconnect = lambda: called.append(1)
    assert storage.on_reconnect is watched.on_reconnect is not None
    storage.on_reconnect()
    assert called == [1]
    assert watched.durability() == storage.durability()
    watched.ping()
    assert abs(watched.time() - storage.time()) < 60
    assert SelfTest(watched, clock).run()["operation_status"]["delete_queue"]["succeeded"]


def test_the_self_test_counts_as_calls_but_not_as_messages(
    storage: Storage, recorder: Recorder, registry: CollectorRegistry, clock: ManualClock
) -> None:
    SelfTest(instrumented(storage, recorder.around), clock).run()
    found = list(registry.collect())
    assert total(found, "queueing_messages_posted_total") == 0
    assert total(found, "queueing_store_call_duration_seconds_count", operation="claims.claim") == 1


def test_an_error_is_counted_by_what_caused_it_and_goes_on_to_the_caller(
    recorder: Recorder, registry: CollectorRegistry
) -> None:
    def away(cause: Exception | None) -> None:
        raise StorageUnavailable("away") from cause

    for error in (ConnectionResetError(), ConnectionResetError(), TimeoutError(), None):
        with pytest.raises(StorageUnavailable):
            recorder.around("ping", away)(error)
    with pytest.raises(ZeroDivisionError):
        recorder.around("ping", lambda: 1 / 0)()
    kinds = by(list(registry.collect()), "queueing_store_errors_total", "kind")
    assert kinds == {
        "ConnectionResetError": 2,
        "TimeoutError": 1,
        "StorageUnavailable": 1,
        "ZeroDivisionError": 1,
    }
