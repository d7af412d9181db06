"""Which file, who may read it, and what is refused when it is opened."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from queueing.core.errors import SetupError, StorageUnavailable
from queueing.core.models import QueueRef
from queueing.storage.registry import open_storage
from queueing.storage.sqlite.schema import VERSION
from tests.contract.subject import Subject, bodies
from tests.storage.conftest import Open


def refusal(uri: str) -> str:
    with pytest.raises(SetupError) as caught:
        open_storage(uri)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_three_slashes_are_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    open_storage("sqlite:///data/relative.db").close()
    assert (tmp_path / "data" / "relative.db").exists()


def test_four_slashes_are_absolute(tmp_path: Path) -> None:
    assert str(tmp_path).startswith("/")
    open_storage(f"sqlite:///{tmp_path}/absolute.db").close()
    assert (tmp_path / "absolute.db").exists()


def test_a_relative_file_stays_the_same_when_the_process_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = open_storage("sqlite:///a.db")
    monkeypatch.chdir("/")
    storage.ping()
    assert storage.queues.count("p") == 0
    storage.close()


def test_characters_that_mean_something_in_a_uri_can_be_written(tmp_path: Path) -> None:
    open_storage(f"sqlite:///{tmp_path}/what%3F%20100%25%23.db").close()
    assert (tmp_path / "what? 100%#.db").exists()


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite://queueing.db",
        "sqlite:///:memory:",
        "sqlite:////",
    ],
)
def test_a_uri_without_a_file_is_refused(uri: str) -> None:
    assert "sqlite:///" in refusal(uri)


@pytest.mark.parametrize(
    ("query", "named"),
    [("?sync=full", "sync"), ("?synchronous=off", "off"), ("?synchronous=", "full or normal")],
)
def test_an_option_that_there_is_not_is_refused(tmp_path: Path, query: str, named: str) -> None:
    assert named in refusal(f"sqlite:///{tmp_path}/a.db{query}")
    assert not (tmp_path / "a.db").exists()


@pytest.mark.parametrize(
    ("options", "number"), [("", 2), ("?synchronous=full", 2), ("?synchronous=normal", 1)]
)
def test_synchronous_is_full_unless_it_is_chosen_to_be_normal(
    open_file: Open, options: str, number: int
) -> None:
    storage = open_file(options=options)
    facts = storage.durability()
    assert facts["synchronous"] == {2: "full", 1: "normal"}[number]
    assert facts["journal_mode"] == "wal"
    writer = storage._connection.writer()  # type: ignore[attr-defined]  # what SQLite itself says
    assert writer.execute("PRAGMA synchronous").fetchone() == (number,)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    assert f"{tmp_path}/not/there" in refusal(f"sqlite:///{tmp_path}/not/there/a.db")


def test_a_directory_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    assert str(tmp_path) in refusal(f"sqlite:///{tmp_path}")


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert f"{tmp_path}/file" in refusal(f"sqlite:///{tmp_path}/file/a.db")


def test_a_file_that_is_no_database_is_refused_and_kept(file: Path) -> None:
    file.write_bytes(b"no database at all, but quite long: " * 100)
    before = file.read_bytes()
    assert str(file) in refusal(f"sqlite:///{file}")
    assert file.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_kept(file: Path) -> None:
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    assert "another program" in refusal(f"sqlite:///{file}")
    with sqlite3.connect(file) as db:
        assert db.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
    db.close()


def test_a_file_of_a_newer_version_is_refused_and_kept(q: Subject, file: Path) -> None:
    q.post(b"a")
    q.storage.close()
    with sqlite3.connect(file) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    text = refusal(f"sqlite:///{file}")
    assert "newer" in text and str(VERSION + 1) in text and str(file) in text
    with sqlite3.connect(file) as db:
        assert db.execute("SELECT count(*) FROM messages").fetchone() == (1,)
    db.close()


def test_everything_is_readable_by_its_owner_only(q: Subject, file: Path) -> None:
    mask = os.umask(0)
    try:
        q.post(b"a")
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in file.parent.iterdir()}
    finally:
        os.umask(mask)
    assert modes == {f"queueing.db{end}": 0o600 for end in ("", "-wal", "-shm", "-door", "-desk")}


def test_a_mode_that_somebody_chose_is_left(file: Path, open_file: Open) -> None:
    file.touch()
    file.chmod(0o640)
    storage = open_file()
    Subject(storage, QueueRef("p", "q"), clock=None).exists()  # type: ignore[arg-type]  # no time needed
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert stat.S_IMODE(Path(f"{file}-wal").stat().st_mode) == 0o640


def test_messages_are_there_when_the_file_is_opened_again(q: Subject, open_file: Open) -> None:
    q.post(b"a", b"b")
    q.storage.close()
    again = Subject(open_file(), q.ref, q.clock)
    assert bodies(again.page()) == [b"a", b"b"]


def test_closing_twice_is_fine_and_a_closed_store_is_unavailable(q: Subject) -> None:
    q.storage.close()
    q.storage.close()
    with pytest.raises(StorageUnavailable):
        q.post(b"a")
    with pytest.raises(StorageUnavailable):
        q.stats()
    with pytest.raises(StorageUnavailable):
        q.get("a")
