"""Space: what is purged, deleted or over leaves the file, a little at a time."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from queueing.core.models import Draft, IdempotencyKey
from queueing.storage.sqlite.places import BACKLOG, SWEEP_PER_STEP
from tests.contract.subject import TTL, Subject, bodies

MANY = 3000


def rows(file: Path, table: str) -> int:
    db = sqlite3.connect(file)
    (count,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
    db.close()
    return int(count)


def collect_all(q: Subject, limit: int = 200) -> None:
    while q.storage.collect(now=q.now, limit=limit) == limit:
        pass


def checkpoint(file: Path) -> None:
    db = sqlite3.connect(file)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    db.close()


def test_a_purge_takes_nothing_away_by_itself_and_collecting_does(q: Subject, file: Path) -> None:
    q.post_number(MANY)
    q.purge()
    assert q.counts() == (0, 0)
    assert rows(file, "messages") == MANY
    kept = q.post(b"kept")
    collect_all(q)
    assert rows(file, "messages") == 1
    assert rows(file, "places") == 2  # and the ledger
    assert rows(file, "abandoned") == 0
    assert [message.id for message in q.everything()] == list(kept)


def test_a_deleted_queue_leaves_nothing_once_it_is_long_gone(q: Subject, file: Path) -> None:
    q.create(b'{"a": 1}')
    known = q.knowing(q.metadata.version)
    known.post_drafts([Draft(b"a", TTL)], key=IdempotencyKey("key", b"d" * 32, q.now + 60))
    known.claim()
    q.drop()
    q.clock.advance(100_000)
    collect_all(q)
    tables = ["queues", "documents", "projects", "gone", "messages", "places", "abandoned"]
    for table in [*tables, "claims", "idempotency_keys", "burials", "dead_letters"]:
        assert rows(file, table) == 0, table


def test_the_file_gets_smaller(q: Subject, file: Path) -> None:
    for _ in range(20):
        q.post(*[b"x" * 40_000] * 25)
    checkpoint(file)
    full = file.stat().st_size
    assert full > 20_000_000
    q.purge()
    collect_all(q)
    for _ in range(100):
        q.storage.collect(now=q.now, limit=1)
    checkpoint(file)
    assert file.stat().st_size < full / 5
    q.post(b"a")
    assert bodies(q.page()) == [b"a"]


@pytest.mark.parametrize("limit", [1, 10, SWEEP_PER_STEP, 100_000])
def test_collecting_takes_what_it_may_and_says_how_much(q: Subject, limit: int) -> None:
    q.post_number(2500, ttl=60)
    q.clock.advance(60)
    assert q.storage.collect(now=q.now, limit=limit) == min(limit, 2500)


@pytest.mark.parametrize("read", ["stats", "page"])
def test_who_only_reads_has_a_backlog_swept_too(q: Subject, file: Path, read: str) -> None:
    q.post_number(SWEEP_PER_STEP + BACKLOG + 5, ttl=60)
    q.post(b"kept")
    q.clock.advance(60)
    for _ in range(3):
        if read == "stats":
            assert q.counts() == (1, 0)
        else:
            assert bodies(q.page(limit=10)) == [b"kept"]
    assert rows(file, "messages") <= BACKLOG + 1


def test_who_only_reads_has_due_messages_brought_back_too(q: Subject, file: Path) -> None:
    q.post_number(2 * BACKLOG, delay=10)
    q.clock.advance(10)
    assert len(q.page(limit=1000)) == 2 * BACKLOG
    db = sqlite3.connect(file)
    assert db.execute("SELECT count(*) FROM places WHERE due_at IS NOT NULL").fetchone() == (0,)
    db.close()


def test_a_few_expired_ones_are_left_by_who_only_reads(q: Subject, file: Path) -> None:
    q.post_number(5, ttl=60)
    q.clock.advance(60)
    assert q.page() == []
    assert q.counts() == (0, 0)
    assert rows(file, "messages") == 5
