"""What one open store hears of what others do, where the driver can tell."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing import get_context

import pytest

from queueing.core.clock import ManualClock
from queueing.core.models import DeadLetter, Draft, QueueRef
from queueing.storage.contract import UNKNOWN, Announces, Storage
from queueing.storage.registry import open_storage
from tests.contract.subject import Subject

pytestmark = pytest.mark.announces

PATIENCE_SECONDS = 60.0


class Ear:
    """Hears for an open store, and remembers."""

    def __init__(self, storage: Storage) -> None:
        assert isinstance(storage, Announces)
        self.storage = storage
        self._changed = threading.Condition()
        self._heard: list[tuple[QueueRef, int]] = []
        storage.listen(self._hear)

    def _hear(self, queue: QueueRef, count: int) -> None:
        with self._changed:
            self._heard.append((queue, count))
            self._changed.notify_all()

    def follow(self, queue: QueueRef) -> None:
        """Until it can be heard: a connection may have to be made first."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.storage.follow(queue):
            assert time.monotonic() < deadline, "it cannot be followed"
            time.sleep(0.01)

    def heard(self, queue: QueueRef) -> list[int]:
        with self._changed:
            return [count for where, count in self._heard if where == queue]

    def wait_for(self, queue: QueueRef, wanted: Callable[[list[int]], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(
                lambda: wanted([c for where, c in self._heard if where == queue]), PATIENCE_SECONDS
            ), f"heard only {self._heard}"


def free(counts: list[int]) -> int:
    """How many messages were said to be free; a bit more where that was not known."""
    return sum(1_000_000 if count == UNKNOWN else count for count in counts)


@pytest.fixture
def ear(storage_uri: str) -> Iterator[Ear]:
    """Of a second node, as it were."""
    opened = open_storage(storage_uri, timeout_seconds=PATIENCE_SECONDS)
    yield Ear(opened)
    opened.close()


def test_a_post_elsewhere_is_heard_with_its_number(q: Subject, ear: Ear) -> None:
    ear.follow(q.ref)
    q.post_number(3)
    ear.wait_for(q.ref, lambda counts: free(counts) >= 3)
    assert 3 in ear.heard(q.ref) or UNKNOWN in ear.heard(q.ref)


def test_each_post_is_heard(q: Subject, ear: Ear) -> None:
    ear.follow(q.ref)
    for _ in range(20):
        q.post(b"x")
    ear.wait_for(q.ref, lambda counts: free(counts) >= 20)


def test_a_post_with_a_delay_tells_to_look_at_the_time(q: Subject, ear: Ear) -> None:
    ear.follow(q.ref)
    q.post(b"late", delay=60)
    ear.wait_for(q.ref, lambda counts: 0 in counts or UNKNOWN in counts)


def test_a_post_of_both_kinds_tells_both(q: Subject, ear: Ear) -> None:
    ear.follow(q.ref)
    q.post_drafts([Draft(b"late", 3600, 60), Draft(b"free", 3600, 0), Draft(b"too", 3600, 0)])
    ear.wait_for(q.ref, lambda counts: free(counts) >= 2 and (0 in counts or UNKNOWN in counts))


def test_a_release_is_heard(q: Subject, ear: Ear) -> None:
    q.post_number(2)
    claim = q.take(2)
    ear.follow(q.ref)
    q.release(claim.id)
    ear.wait_for(q.ref, lambda counts: free(counts) >= 2)


def test_accepted_dead_letters_are_heard(q: Subject, ear: Ear) -> None:
    q.post_number(2)
    target = q.sibling("morgue")
    ear.follow(target.ref)
    target.accept([DeadLetter(f"b{number}", "morgue", m) for number, m in enumerate(q.pop(2))])
    ear.wait_for(target.ref, lambda counts: free(counts) >= 2)


def test_a_queue_is_followed_before_it_exists_and_after_it_was_deleted(
    q: Subject, ear: Ear
) -> None:
    ear.follow(q.ref)
    q.post(b"first")
    ear.wait_for(q.ref, lambda counts: free(counts) >= 1)
    q.drop()
    before = free(ear.heard(q.ref))
    q.post(b"second")
    ear.wait_for(q.ref, lambda counts: free(counts) > before)


def test_other_queues_and_projects_are_not_heard(q: Subject, ear: Ear, project: str) -> None:
    ear.follow(q.ref)
    names = ["Q", "q2", "q\u00fc", "'q", "q" * 64]
    for name in names:
        q.sibling(name).post(b"x")
    q.elsewhere(f"{project}-2").post(b"x")
    q.post(b"the last")
    ear.wait_for(q.ref, lambda counts: free(counts) >= 1)
    assert free(ear.heard(q.ref)) in (1, 1_000_000, 1_000_001)
    for name in names:
        assert not ear.heard(q.sibling(name).ref)


def test_several_queues_are_told_apart(q: Subject, ear: Ear) -> None:
    queues = [q.sibling(f"q{number}") for number in range(5)]
    for queue in queues:
        ear.follow(queue.ref)
        ear.follow(queue.ref)  # twice is as once
    for number, queue in enumerate(queues):
        queue.post_number(number + 1)
    for number, queue in enumerate(queues):
        ear.wait_for(queue.ref, lambda counts, least=number + 1: free(counts) >= least)


def test_what_one_does_oneself_is_not_heard(q: Subject, ear: Ear) -> None:
    mine = Subject(ear.storage, q.ref, q.clock)
    ear.follow(q.ref)
    mine.post_number(7)
    mine.release(mine.take(7).id)
    q.post(b"by another")
    ear.wait_for(q.ref, lambda counts: 1 in counts or UNKNOWN in counts)
    assert 7 not in ear.heard(q.ref)


def test_what_is_not_followed_any_more_gets_silent(q: Subject, ear: Ear) -> None:
    ear.follow(q.ref)
    ear.storage.unfollow(q.ref)
    ear.storage.unfollow(q.ref)  # no matter
    deadline = time.monotonic() + PATIENCE_SECONDS
    silent = 0
    other = q.sibling("other")
    ear.follow(other.ref)
    while silent < 3 and time.monotonic() < deadline:
        before = len(ear.heard(q.ref)), free(ear.heard(other.ref))
        q.post(b"x")
        other.post(b"x")
        ear.wait_for(other.ref, lambda counts, least=before[1]: free(counts) > least)
        silent = silent + 1 if len(ear.heard(q.ref)) == before[0] else 0
    assert silent == 3


def test_following_anew_is_heard_again(q: Subject, ear: Ear) -> None:
    for number in range(3):
        ear.follow(q.ref)
        before = free(ear.heard(q.ref))
        q.post(b"x")
        ear.wait_for(q.ref, lambda counts, least=before: free(counts) > least)
        if number < 2:
            ear.storage.unfollow(q.ref)


def test_a_closed_store_is_no_burden_to_those_who_post(q: Subject, storage_uri: str) -> None:
    listener = open_storage(storage_uri, timeout_seconds=PATIENCE_SECONDS)
    Ear(listener).follow(q.ref)
    listener.close()
    q.post(b"x")
    assert q.counts() == (1, 0)


def post_in_process(uri: str, project: str, number: int) -> None:
    storage = open_storage(uri, timeout_seconds=PATIENCE_SECONDS)
    q = Subject(storage, QueueRef(project, "q"), ManualClock(time.time()))
    for _ in range(number):
        q.post(b"x")
    storage.close()


def test_every_post_of_other_processes_is_heard(
    storage_uri: str, project: str, q: Subject, ear: Ear
) -> None:
    ear.follow(q.ref)
    context = get_context("spawn")
    posters = [
        context.Process(target=post_in_process, args=(storage_uri, project, 50)) for _ in range(3)
    ]
    for poster in posters:
        poster.start()
    for poster in posters:
        poster.join(PATIENCE_SECONDS)
        assert poster.exitcode == 0
    ear.wait_for(q.ref, lambda counts: free(counts) >= 150)
    assert set(Counter(ear.heard(q.ref))) <= {1, UNKNOWN}
