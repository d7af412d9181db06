"""Versions of the schema: new files, older ones, migrations that fail."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from queueing.core.errors import SetupError
from queueing.storage.sqlite.connection import connect
from queueing.storage.sqlite.schema import APPLICATION, MIGRATIONS, VERSION, prepare

TO_2 = "ALTER TABLE store ADD COLUMN colour TEXT; UPDATE store SET colour = 'red';"
TO_3 = "CREATE TABLE news (x); INSERT INTO news SELECT colour FROM store;"


@pytest.fixture
def db(file: Path) -> Iterator[sqlite3.Connection]:
    file.touch()
    db = connect(file, 30.0)
    yield db
    db.close()


def pragma(db: sqlite3.Connection, name: str) -> object:
    return db.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_new_file_gets_the_present_version(db: sqlite3.Connection) -> None:
    prepare(db, "file")
    assert pragma(db, "user_version") == VERSION
    assert pragma(db, "application_id") == APPLICATION
    assert pragma(db, "journal_mode") == "wal"
    assert pragma(db, "auto_vacuum") == 2  # incremental


def test_a_file_of_the_present_version_is_left_as_it_is(db: sqlite3.Connection) -> None:
    prepare(db, "file")
    db.execute("UPDATE store SET next_number = 7")
    prepare(db, "file")
    assert db.execute("SELECT next_number FROM store").fetchone() == (7,)


def test_every_version_before_the_present_one_has_a_way_on() -> None:
    assert set(MIGRATIONS) == set(range(1, VERSION))


def test_an_older_file_goes_through_every_version_up_to_the_present_one(
    db: sqlite3.Connection,
) -> None:
    prepare(db, "file", version=1)
    prepare(db, "file", version=3, migrations={1: TO_2, 2: TO_3})
    assert db.execute("SELECT x FROM news").fetchone() == ("red",)
    assert pragma(db, "user_version") == 3
    prepare(db, "file", version=3, migrations={1: TO_2, 2: TO_3})


def test_a_migration_that_fails_leaves_the_last_version_that_was_whole(
    db: sqlite3.Connection,
) -> None:
    prepare(db, "file", version=1)
    broken = f"{TO_3} INSERT INTO nowhere VALUES (1);"
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        prepare(db, "file", version=3, migrations={1: TO_2, 2: broken})
    assert pragma(db, "user_version") == 2
    assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'news'").fetchone() == (0,)
    prepare(db, "file", version=3, migrations={1: TO_2, 2: TO_3})
    assert pragma(db, "user_version") == 3


def test_a_newer_file_is_refused(db: sqlite3.Connection) -> None:
    prepare(db, "file", version=1)
    db.execute("PRAGMA user_version = 2")
    with pytest.raises(SetupError, match="newer"):
        prepare(db, "file", version=1)
