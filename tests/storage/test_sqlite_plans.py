"""No statement on a request's path scans: asked of SQLite's own query planner, for every one."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from queueing.storage.sqlite import (
    claims,
    dead_letters,
    messages,
    places,
    posting,
    queues,
    sweeping,
)
from queueing.storage.sqlite.connection import connect
from queueing.storage.sqlite.schema import prepare

MODULES = [places, posting, messages, claims, dead_letters, queues, sweeping]

SCANS = {
    ("places", "NEW_NUMBERS"): {"store"},  # one row
    ("sweeping", "ABANDONED"): {"abandoned"},  # the first row
}
"""What may be read from its start, by module and name of the statement."""

WALKS = {
    ("places", "SOONEST"),  # the first of them
    # Up to a limit, and all of them are taken away.
    ("sweeping", "CLEAR_MESSAGES"),
    ("sweeping", "CLEAR_PLACES"),
}
"""What may read along all of a queue."""

SORTS = {
    # Of those that are due, which a step brings back as soon as there are many.
    ("messages", "PAGE_OF_DUE"),
    # The messages of one claim.
    ("claims", "HELD"),
}


def statements() -> Iterator[tuple[str, str, str]]:
    seen = set()  # modules import statements from each other
    for module in MODULES:
        for name, text in found(module):
            if text not in seen:
                seen.add(text)
                yield module.__name__.rpartition(".")[2], name, text


def found(module: ModuleType) -> Iterator[tuple[str, str]]:
    for name, value in vars(module).items():
        if isinstance(value, str) and re.match(r"\s*(SELECT|UPDATE|DELETE)\s[^,]*?\s*\w", value):
            if name.isupper():
                yield name, value
        elif name == "OVER":
            for number, (find, delete) in enumerate(value):
                yield f"{name}[{number}] find", find
                yield f"{name}[{number}] delete", delete


def parameters(statement: str) -> list[object]:
    numbered = re.findall(r"\?(\d+)", statement)
    return [1] * (max(map(int, numbered)) if numbered else statement.count("?"))


@pytest.fixture
def db(file: Path) -> Iterator[sqlite3.Connection]:
    file.touch()
    db = connect(file, 30.0)
    prepare(db, "file")
    yield db
    db.close()


def plan(db: sqlite3.Connection, statement: str) -> list[str]:
    rows = db.execute(f"EXPLAIN QUERY PLAN {statement}", parameters(statement)).fetchall()
    return [row[3] for row in rows]


ALL = [
    pytest.param(module, name, statement, id=f"{module}.{name}")
    for module, name, statement in statements()
]


def test_the_statements_are_found() -> None:
    assert len(ALL) > 40


@pytest.mark.parametrize(("module", "name", "statement"), ALL)
def test_a_statement_finds_its_rows_by_an_index(
    db: sqlite3.Connection, module: str, name: str, statement: str
) -> None:
    allowed = SCANS.get((module, name), set())
    for line in plan(db, statement):
        assert "AUTOMATIC" not in line
        scan = re.match(r"SCAN (\S+)", line)
        if scan and "VIRTUAL TABLE" not in line and "CONSTANT ROW" not in line:
            assert scan[1] in allowed or scan[1].startswith("("), line


@pytest.mark.parametrize(("module", "name", "statement"), ALL)
def test_a_statement_does_not_walk_through_a_queue(
    db: sqlite3.Connection, module: str, name: str, statement: str
) -> None:
    if (module, name) not in WALKS:
        for line in plan(db, statement):
            assert not re.search(r"expires_at>\?|\((generation|queue)=\?\)", line), line


@pytest.mark.parametrize(("module", "name", "statement"), ALL)
def test_a_statement_reads_in_the_order_that_it_answers_in(
    db: sqlite3.Connection, module: str, name: str, statement: str
) -> None:
    if (module, name) not in SORTS:
        assert not [line for line in plan(db, statement) if "TEMP B-TREE FOR ORDER" in line]
