"""Disk full, file broken, file gone: unavailable, in the log once, and back when the cause is gone."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from queueing.core.errors import StorageUnavailable
from tests.contract.subject import Subject, bodies
from tests.storage.conftest import Open

FULL = """
import json, resource, signal, sys
from queueing.core.errors import StorageUnavailable
from queueing.core.models import Draft, QueueRef, request_token
from queueing.storage.registry import open_storage

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
storage = open_storage(sys.argv[1], timeout_seconds=30)
q = QueueRef("p", "q")

def post():
    storage.messages.post(
        q, [Draft(b"x" * 50_000, 60)] * 4,
        client_id="c", token=request_token(), version="", now=1.0,
    )

post()
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, unlimited[1]))
done, refused = 1, 0
while refused < 3:
    try:
        post()
        done += 1
    except StorageUnavailable:
        refused += 1
counted = storage.messages.stats(q, now=2.0).free
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
post()
print(json.dumps([done, counted, storage.messages.stats(q, now=2.0).free]))
storage.close()
"""


def test_a_full_disk_refuses_posts_whole_and_loses_nothing(file: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", FULL, f"sqlite:///{file}?synchronous=normal"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    done, counted, counted_later = json.loads(result.stdout)
    assert done > 1
    assert counted == 4 * done
    assert counted_later == 4 * done + 4


def test_a_broken_file_is_unavailable_and_logged_once(
    q: Subject, file: Path, open_file: Open, caplog: pytest.LogCaptureFixture
) -> None:
    ids = q.post_number(1000)
    q.storage.close()  # everything is in the file itself now
    break_tables(file, "messages", "places")
    again = Subject(open_file(), q.ref, q.clock)
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            with pytest.raises(StorageUnavailable):
                again.page()
            with pytest.raises(StorageUnavailable):
                again.get(*ids)
    assert len(caplog.records) == 1
    assert str(file) in caplog.text


def break_tables(file: Path, *tables: str) -> None:
    """Overwrite the page that each of them begins with."""
    db = sqlite3.connect(file)
    (size,) = db.execute("PRAGMA page_size").fetchone()
    roots = dict(db.execute("SELECT name, rootpage FROM sqlite_schema").fetchall())
    db.close()
    content = bytearray(file.read_bytes())
    for table in tables:
        start = (roots[table] - 1) * size
        content[start : start + size] = b"\xa5" * size
    file.write_bytes(bytes(content))


def test_a_file_that_was_removed_is_noticed_and_not_made_anew(q: Subject, file: Path) -> None:
    q.post(b"a")
    file.unlink()
    with pytest.raises(StorageUnavailable, match="removed"):
        q.storage.ping()
    assert not file.exists()


def test_a_file_that_was_replaced_is_noticed(q: Subject, file: Path, tmp_path: Path) -> None:
    q.post(b"a")
    other = tmp_path / "other"
    sqlite3.connect(other).close()
    other.touch()
    os.replace(other, file)
    with pytest.raises(StorageUnavailable, match="replaced"):
        q.storage.ping()


def test_a_bug_is_not_taken_for_an_outage(q: Subject, file: Path) -> None:
    q.post(b"a")
    with sqlite3.connect(file) as db:
        db.execute("ALTER TABLE messages RENAME COLUMN checksum TO something_else")
    db.close()
    with pytest.raises(sqlite3.OperationalError, match="checksum"):
        q.post(b"b")
    with pytest.raises(sqlite3.OperationalError, match="checksum"):
        q.page()
    with sqlite3.connect(file) as db:
        db.execute("ALTER TABLE messages RENAME COLUMN something_else TO checksum")
    db.close()
    q.post(b"c")  # the failed step was rolled back, and the turn given
    assert bodies(q.page()) == [b"a", b"c"]
