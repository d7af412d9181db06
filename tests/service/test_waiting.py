"""Waiting for messages in one process: what ends it, whom it serves, and what it costs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from queueing.core.clock import ManualClock
from queueing.core.errors import StorageUnavailable
from queueing.core.limits import Limits
from queueing.core.models import QueueRef
from queueing.service import waiting
from queueing.service.claims import Claims
from queueing.service.messages import Messages
from queueing.service.queues import Queues
from queueing.service.settings import KnownSettings
from queueing.service.waiters import Phase
from queueing.service.waiting import Patience, WaitingRoom
from queueing.storage.contract import Storage
from tests.service.conftest import CLIENT, Posting

PATIENCE_SECONDS = 60.0
ECHO = {"echo": True, "include_claimed": False, "include_delayed": False}


class Counting(WaitingRoom):
    """Counts how often the store is asked in vain or not."""

    tries = 0

    def is_calm(self) -> bool:
        """Whether nobody is about to ask the store."""
        with self._lock:
            everybody = [waiter for line in self._lines.values() for waiter in line.everybody()]
            return all(waiter.phase is Phase.RESTING for waiter in everybody)

    def wait(self, queue: QueueRef, attempt: Callable[[], Any], *args: Any, **named: Any) -> Any:
        def counted() -> Any:
            self.tries += 1
            return attempt()

        return super().wait(queue, counted, *args, **named)


class Node:
    """The services of one process, with a room to wait in."""

    def __init__(self, storage: Storage, clock: ManualClock, max_waiters: int = 1000) -> None:
        limits = Limits()
        self.storage, self.clock = storage, clock
        self.room = Counting(storage, clock, max_waiters=max_waiters)
        known = KnownSettings(storage, limits)
        self.queues = Queues(storage, clock, limits, self.room)
        self.messages = Messages(storage, clock, limits, known, self.room)
        self.claims = Claims(storage, clock, limits, known, self.room)

    def post(self, queue: QueueRef, *bodies: bytes, delay: int | None = None) -> None:
        postings = [Posting(body, None, delay) for body in bodies]
        self.messages.post(queue, postings, body=b"x", client_id=CLIENT)

    def claim(
        self, queue: QueueRef, limit: int = 1, patience: Patience | None = None
    ) -> list[bytes]:
        claim = self.claims.create(queue, ttl=60, grace=60, limit=limit, patience=patience)
        return [message.body for message in claim.messages] if claim else []

    def pop(self, queue: QueueRef, limit: int = 1, patience: Patience | None = None) -> list[bytes]:
        return [m.body for m in self.messages.pop(queue, limit, patience=patience)]

    def list(self, queue: QueueRef, patience: Patience | None = None, **more: Any) -> list[bytes]:
        asked = {"marker": None, "limit": None, "client_id": CLIENT, **ECHO, **more}
        page, _ = self.messages.list(queue, patience=patience, **asked)
        return [message.body for message in page]


class Waiting(threading.Thread):
    """Somebody who waits in a thread of his own."""

    def __init__(self, room: WaitingRoom, wait: Callable[[Patience], list[bytes]], **more: Any):
        super().__init__(daemon=True)
        self.room = room
        self.patience = Patience(more.get("seconds", PATIENCE_SECONDS), more.get("connection"))
        self.got: list[bytes] | None = None
        self.failure: Exception | None = None
        self._wait = wait
        before = room.count
        self.start()
        until(lambda: (room.count > before and room.is_calm()) or not self.is_alive())

    def run(self) -> None:
        try:
            self.got = self._wait(self.patience)
        except StorageUnavailable as error:
            self.failure = error

    def answer(self) -> list[bytes] | None:
        self.join(PATIENCE_SECONDS)
        assert not self.is_alive(), "it still waits"
        return self.got


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not met():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.002)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock moved by hand tells nobody: those who look at times have to look often."""
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.05)


@pytest.fixture
def open_node(storage: Storage, clock: ManualClock) -> Iterator[Callable[..., Node]]:
    nodes: list[Node] = []

    def open_node(**more: Any) -> Node:
        nodes.append(Node(storage, clock, **more))
        return nodes[-1]

    yield open_node
    for node in nodes:
        node.room.close()


@pytest.fixture
def node(open_node: Callable[..., Node]) -> Node:
    return open_node()


WAYS = ["claim", "pop", "list"]


def wait(node: Node, way: str, queue: QueueRef, **more: Any) -> Waiting:
    return Waiting(node.room, lambda patience: getattr(node, way)(queue, patience=patience), **more)


@pytest.mark.parametrize("way", WAYS)
def test_a_post_ends_the_wait(node: Node, queue: QueueRef, way: str) -> None:
    waiting = wait(node, way, queue)
    node.post(queue, b"1")
    assert waiting.answer() == [b"1"]


@pytest.mark.parametrize("way", WAYS)
def test_what_is_there_is_not_waited_for(node: Node, queue: QueueRef, way: str) -> None:
    node.post(queue, b"1")
    assert wait(node, way, queue).answer() == [b"1"]


@pytest.mark.parametrize("way", WAYS)
def test_a_wait_ends_empty_when_its_time_is_up(node: Node, queue: QueueRef, way: str) -> None:
    assert wait(node, way, queue, seconds=0.05).answer() == []
    assert node.room.count == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_release_ends_the_wait(node: Node, queue: QueueRef, way: str) -> None:
    node.post(queue, b"1")
    claim = node.claims.create(queue, ttl=60, grace=60, limit=1)
    assert claim
    waiting = wait(node, way, queue)
    node.claims.release(queue, claim.id)
    assert waiting.answer() == [b"1"]


@pytest.mark.parametrize("way", WAYS)
def test_the_end_of_a_delay_ends_the_wait(node: Node, queue: QueueRef, way: str) -> None:
    waiting = wait(node, way, queue)
    node.post(queue, b"1", delay=60)
    until(lambda: node.storage.messages.stats(queue, now=node.clock.now()).free == 1)
    node.clock.advance(59)
    assert waiting.is_alive()
    node.clock.advance(1)
    assert waiting.answer() == [b"1"]


@pytest.mark.parametrize("way", WAYS)
def test_the_end_of_a_claim_ends_the_wait(node: Node, queue: QueueRef, way: str) -> None:
    node.post(queue, b"1")
    node.claim(queue)
    waiting = wait(node, way, queue)
    node.clock.advance(60)
    assert waiting.answer() == [b"1"]


@pytest.mark.parametrize("way", WAYS)
def test_a_dead_letter_ends_the_wait_at_its_target(
    node: Node, queue: QueueRef, morgue: QueueRef, way: str
) -> None:
    rules = {"_dead_letter_queue": b'"morgue"', "_max_claim_count": b"1"}
    node.queues.create(queue, rules)
    node.post(queue, b"1")
    claim = node.claims.create(queue, ttl=60, grace=60, limit=1)
    assert claim
    waiting = wait(node, way, morgue)
    node.claims.release(queue, claim.id)
    assert node.claim(queue) == []
    assert waiting.answer() == [b"1"]


def test_a_listing_waits_for_what_it_shows(node: Node, queue: QueueRef) -> None:
    def others(patience: Patience) -> list[bytes]:
        return node.list(queue, patience, echo=False)

    def delayed_too(patience: Patience) -> list[bytes]:
        return node.list(queue, patience, include_delayed=True)

    first, second = Waiting(node.room, others), Waiting(node.room, delayed_too)
    node.post(queue, b"own, late", delay=60)
    assert second.answer() == [b"own, late"]
    node.post(queue, b"own")
    assert first.is_alive()
    node.messages.post(queue, [Posting(b"other's")], body=b"x", client_id="another")
    assert first.answer() == [b"other's"]


def test_a_listing_waits_behind_its_marker(node: Node, queue: QueueRef) -> None:
    node.post(queue, b"1")
    asked = {"limit": None, "client_id": "", **ECHO}
    _, marker = node.messages.list(queue, marker=None, **asked)
    waiting = Waiting(node.room, lambda patience: node.list(queue, patience, marker=marker))
    node.post(queue, b"2")
    assert waiting.answer() == [b"2"]


@pytest.mark.announces
def test_those_who_wait_are_served_in_their_order(
    node: Node, queue: QueueRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A look between a step and the word of it calls one more, who may be the quicker.
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 60.0)
    waiters = [wait(node, "claim", queue) for _ in range(5)]
    for number, waiter in enumerate(waiters):
        node.post(queue, b"%d" % number)
        assert waiter.answer() == [b"%d" % number]


def test_a_post_of_several_serves_as_many_as_it_can(node: Node, queue: QueueRef) -> None:
    waiters = [wait(node, "claim", queue) for _ in range(5)]
    node.post(queue, b"1", b"2", b"3")
    until(lambda: sum(not waiter.is_alive() for waiter in waiters) == 3)
    assert sorted(w.got[0] for w in waiters if w.got) == [b"1", b"2", b"3"]
    assert node.room.count == 2
    node.room.stop()


@pytest.mark.announces
def test_few_claims_are_tried_for_each_message(
    node: Node, queue: QueueRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 200 waiting: no more than 1.5 for each that is delivered."""
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 5.0)
    waiters = [wait(node, "claim", queue) for _ in range(200)]
    assert node.room.tries < 10, "who comes behind others need not ask the store"
    node.room.tries = 0
    for number in range(100):
        node.post(queue, b"%d" % number)
    for number in range(0, 100, 10):
        node.post(queue, *[b"%d" % (100 + number + digit) for digit in range(10)])
    got = [waiter.answer() or [] for waiter in waiters]
    assert sorted(int(body) for bodies in got for body in bodies) == list(range(200))
    assert node.room.tries <= 1.5 * 200


def test_one_too_many_is_answered_at_once(open_node: Callable[..., Node], queue: QueueRef) -> None:
    node = open_node(max_waiters=2)
    waiters = [wait(node, "claim", queue), wait(node, "pop", queue)]
    third = wait(node, "claim", queue)
    assert third.answer() == []
    assert third.patience.refused
    node.post(queue, b"1", b"1")
    assert [waiter.answer() for waiter in waiters] == [[b"1"], [b"1"]]
    assert not any(waiter.patience.refused for waiter in waiters)
    assert wait(node, "claim", queue, seconds=0.01).patience.refused is False


def test_stopping_ends_all_waits_empty_and_lets_nobody_wait(node: Node, queue: QueueRef) -> None:
    waiters = [wait(node, way, queue) for way in WAYS for _ in range(17)]
    node.room.stop()
    assert [waiter.answer() for waiter in waiters] == [[]] * 51
    assert wait(node, "claim", queue).answer() == []
    node.post(queue, b"1")
    late = wait(node, "claim", queue)
    assert late.answer() == [b"1"]
    assert not late.patience.refused


class Client:
    """A client that can hang up."""

    def __init__(self, tells: bool) -> None:
        self.gone = False
        self._tells = tells
        self._wake: Callable[[], None] | None = None

    def hang_up(self) -> None:
        self.gone = True
        if self._wake and self._tells:
            self._wake()

    def is_lost(self) -> bool:
        return self.gone

    def watch(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        if self.gone and self._tells:
            wake()

    def unwatch(self) -> None:
        self._wake = None


@pytest.mark.parametrize("way", ["claim", "pop"])
@pytest.mark.parametrize("tells", [True, False])
def test_who_hung_up_takes_nothing(node: Node, queue: QueueRef, way: str, tells: bool) -> None:
    client = Client(tells)
    gone = wait(node, way, queue, connection=client, seconds=PATIENCE_SECONDS if tells else 2)
    other = wait(node, way, queue)
    client.hang_up()
    if tells:
        assert gone.answer() == []
    node.post(queue, b"1")
    assert other.answer() == [b"1"]
    assert gone.answer() == []


def test_who_had_hung_up_before_takes_nothing(node: Node, queue: QueueRef) -> None:
    client = Client(True)
    client.hang_up()
    node.post(queue, b"1")
    assert wait(node, "claim", queue, connection=client).answer() == []
    assert node.claim(queue) == [b"1"]


def test_a_false_alarm_ends_no_wait(node: Node, queue: QueueRef) -> None:
    client = Client(True)
    waiting = wait(node, "claim", queue, connection=client)
    for _ in range(3):
        until(lambda: client._wake is not None)
        assert client._wake
        client._wake()
    node.post(queue, b"1")
    assert waiting.answer() == [b"1"]


def test_nobody_waits_for_ever_while_many_post_and_wait(node: Node, queue: QueueRef) -> None:
    each, served, lock = 40, [], threading.Lock()

    def consume() -> None:
        while True:
            with lock:
                if len(served) >= 8 * each:
                    return
            bodies = node.pop(queue, 3, Patience(0.5))
            with lock:
                served.extend(bodies)

    def produce(name: int) -> None:
        for number in range(each):
            node.post(queue, b"%d" % (name * each + number))
            if number % 7 == 0:
                time.sleep(0.003)  # so that consumers run dry

    threads = [threading.Thread(target=consume) for _ in range(20)]
    threads += [threading.Thread(target=produce, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
    assert sorted(map(int, served)) == list(range(8 * each))


def test_where_nobody_was_for_a_while_nobody_is_expected(
    node: Node, queue: QueueRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LINGER_SECONDS", 0.05)
    wait(node, "claim", queue, seconds=0.01).answer()
    until(lambda: not node.room.is_awaited(queue))
    again = wait(node, "claim", queue)
    node.post(queue, b"1")
    assert again.answer() == [b"1"]


def test_a_request_without_patience_asks_once(node: Node, queue: QueueRef) -> None:
    for patience in (None, Patience(0)):
        assert node.pop(queue, 1, patience) == []
        assert node.claim(queue, 1, patience) == []
        assert node.list(queue, patience) == []
    assert node.room.count == 0
    assert not node.room.is_awaited(queue)


@pytest.mark.announces
def test_a_failure_of_one_is_no_loss_to_the_others(
    node: Node, queue: QueueRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "RECOVERY_SECONDS", 0.01)
    failing = True

    def attempt() -> list[bytes]:
        if failing and node.storage.messages.stats(queue, now=node.clock.now()).free:
            raise StorageUnavailable("just now")
        return node.pop(queue)

    first = Waiting(
        node.room, lambda patience: node.room.wait(queue, attempt, patience, wants=1) or []
    )
    second = wait(node, "pop", queue)
    node.post(queue, b"1")
    assert first.answer() is None
    assert isinstance(first.failure, StorageUnavailable)
    assert second.answer() == [b"1"]
