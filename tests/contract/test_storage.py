"""The store as a whole: its clock, its word, closing it, threads that share it."""

from __future__ import annotations

import threading
import time

import pytest

from queueing.core.errors import ClaimNotFound
from queueing.core.models import Draft, IdempotencyKey, Metadata, Posted
from queueing.storage.contract import Storage
from tests.contract.subject import Subject, bodies
from tests.support.stores import Place, Store


def test_the_stores_clock_is_near_the_machines(storage: Storage) -> None:
    assert abs(storage.time() - time.time()) < 60


def test_a_store_that_is_there_answers(storage: Storage) -> None:
    storage.ping()


def test_a_store_says_what_it_may_lose(storage: Storage) -> None:
    facts = storage.durability()
    assert str(facts["engine"])
    assert str(facts["promise"]).endswith(".")
    assert all(isinstance(value, (str, int, bool)) for value in facts.values())


def test_the_suite_knows_whether_a_store_sends_again(store: Store, storage: Storage) -> None:
    assert storage.resends == store.resends


def test_closing_twice_is_fine(store: Store, place: Place) -> None:
    storage = store.open(place)
    storage.ping()
    storage.close()
    storage.close()


def test_all_that_was_done_is_there_after_reopening(q: Subject, store: Store, place: Place) -> None:
    document = b'{"a":1}'
    key = IdempotencyKey("key", b"d" * 32, q.now + 600)
    q.create(document)
    q = q.knowing(Metadata.of(document).version)
    held, free = q.post(b"held", b"free", key=key)
    q.post(b"late", delay=60)
    claim = q.take(1)
    before = (q.everything(), q.stats(), q.metadata)

    again = store.reopen(q.storage, place)
    try:
        q = Subject(again, q.ref, q.clock, q.version)
        assert (q.everything(), q.stats(), q.metadata) == before
        assert q.held(claim.id) == claim
        assert q.post_drafts([Draft(b"held", 60)], key=key) == Posted((held, free), replayed=True)
        last = q.everything()[-1].sequence
        q.post(b"new")
        assert q.everything()[-1].sequence > last
        q.release(claim.id)
        assert q.take().fence > claim.fence
        with pytest.raises(ClaimNotFound):
            q.held(claim.id)
    finally:
        again.close()


def test_threads_share_a_store(q: Subject) -> None:
    """Eight post, eight claim and delete, at once: each message is served once, in order."""
    each, posters, takers = 40, 8, 8
    served: list[list[bytes]] = [[] for _ in range(takers)]
    failures: list[BaseException] = []
    deadline = time.monotonic() + 60

    def post(poster: int) -> None:
        for number in range(0, each, 2):
            q.post(b"%d %d" % (poster, number), b"%d %d" % (poster, number + 1))

    def take(taker: int) -> None:
        while sum(map(len, served)) < each * posters and time.monotonic() < deadline:
            claim = q.claim(5).claim
            for message in claim.messages if claim else ():
                assert claim
                q.delete(message.id, claim.id)
                served[taker].append(message.body)

    def guarded(work: object, number: int) -> None:
        try:
            work(number)  # type: ignore[operator]  # one of the two above
        except BaseException as failure:
            failures.append(failure)
            raise

    threads = [threading.Thread(target=guarded, args=(post, n)) for n in range(posters)]
    threads += [threading.Thread(target=guarded, args=(take, n)) for n in range(takers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    expected = sorted(b"%d %d" % (p, n) for p in range(posters) for n in range(each))
    assert sorted(body for bodies_ in served for body in bodies_) == expected
    assert q.counts() == (0, 0)
    for bodies_ in served:
        for poster in range(posters):
            own = [int(b.split()[1]) for b in bodies_ if b.startswith(b"%d " % poster)]
            assert own == sorted(own)


def test_reading_beside_a_writer_sees_whole_batches(q: Subject) -> None:
    done = threading.Event()
    torn: list[int] = []

    def read() -> None:
        while not done.is_set():
            number = len(q.everything())
            if number % 7:
                torn.append(number)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(30):
        q.post(*[b"x"] * 7)
    done.set()
    reader.join()
    assert torn == []
    assert len(bodies(q.everything())) == 210


def test_a_store_counts_its_connections_or_does_not_tell(storage: Storage) -> None:
    storage.ping()
    found = storage.connections()
    assert found is None or (found.in_use == 0 and found.idle >= 1)
