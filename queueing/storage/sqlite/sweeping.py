"""Taking away what is over. Nothing here changes an answer."""

from __future__ import annotations

import sqlite3
from typing import Final

from queueing.core.models import QueueRef
from queueing.storage.sqlite.connection import Connection
from queueing.storage.sqlite.places import SWEEP_PER_STEP, sweep

SPARE_PAGES: Final = 256
"""Empty pages that the file keeps for what comes next."""

PAGES_PER_STEP: Final = 200
"""How many empty pages one step gives back to the file system, at most."""

DUE: Final = "SELECT generation FROM places WHERE sweep_at <= ? ORDER BY sweep_at LIMIT 1"

ABANDONED: Final = "SELECT generation FROM abandoned LIMIT 1"

CLEARED: Final = "DELETE FROM abandoned WHERE generation = ?"

# The same rows of one generation, twice.
ROWS: Final = "FROM places WHERE generation = ?1 ORDER BY pile, sequence LIMIT ?2"

CLEAR_MESSAGES: Final = f"DELETE FROM messages WHERE number IN (SELECT number {ROWS})"

CLEAR_PLACES: Final = f"""
    DELETE FROM places WHERE (generation, pile, sequence) IN (
        SELECT generation, pile, sequence {ROWS}
    )
"""

OVER: Final = (
    (
        "SELECT queue, id FROM claims WHERE ends_at <= ? LIMIT ?",
        "DELETE FROM claims WHERE queue = ? AND id = ?",
    ),
    (
        "SELECT project, name, key FROM idempotency_keys WHERE expires_at <= ? LIMIT ?",
        "DELETE FROM idempotency_keys WHERE project = ? AND name = ? AND key = ?",
    ),
    (
        "SELECT project, name, burial FROM burials WHERE expires_at <= ? LIMIT ?",
        "DELETE FROM burials WHERE project = ? AND name = ? AND burial = ?",
    ),
    (
        "SELECT number FROM dead_letters WHERE expires_at <= ? LIMIT ?",
        "DELETE FROM dead_letters WHERE number = ?",
    ),
    (
        "SELECT project, name FROM gone WHERE forget_at <= ? LIMIT ?",
        "DELETE FROM gone WHERE project = ? AND name = ?",
    ),
)
"""How to find the keys of what is over, and how to take one away."""

NEXT_PILE: Final = """
    SELECT project, name FROM dead_letters WHERE (project, name) > (?, ?)
    ORDER BY project, name LIMIT 1
"""


def collect(connection: Connection, *, now: float, limit: int) -> int:
    """`Storage.collect`: steps of up to `SWEEP_PER_STEP`, so that nobody waits long for a turn."""
    swept = 0
    while swept < limit:
        chunk = min(limit - swept, SWEEP_PER_STEP)
        with connection.step() as db:
            done = _collect(db, now, chunk)
            if done < chunk:
                _give_back_pages(db)
        swept += done
        if done < chunk:
            break
    return swept


def piles(connection: Connection, *, limit: int) -> list[QueueRef]:
    """`Storage.piles`."""
    found: list[QueueRef] = []
    with connection.read(whole=True) as db:
        last = ("", "")
        while len(found) < limit:
            row = db.execute(NEXT_PILE, last).fetchone()
            if row is None:
                break
            last = row
            found.append(QueueRef._make(row))
    return found


def _collect(db: sqlite3.Connection, now: float, limit: int) -> int:
    swept = 0
    while swept < limit and (row := db.execute(DUE, (now,)).fetchone()):
        swept += sweep(db, row[0], now, limit - swept)
    while swept < limit and (row := db.execute(ABANDONED).fetchone()):
        swept += _clear(db, row[0], limit - swept)
    for find, delete in OVER:
        if swept < limit:
            keys = db.execute(find, (now, limit - swept)).fetchall()
            db.executemany(delete, keys)
            swept += len(keys)
    return swept


def _clear(db: sqlite3.Connection, generation: int, limit: int) -> int:
    """Take away up to `limit` messages of an abandoned generation, its ledger last."""
    db.execute(CLEAR_MESSAGES, (generation, limit))
    cleared = db.execute(CLEAR_PLACES, (generation, limit)).rowcount
    if cleared < limit:
        db.execute(CLEARED, (generation,))
    return cleared


def _give_back_pages(db: sqlite3.Connection) -> None:
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    if free > SPARE_PAGES:
        # Page by page, since Python ends the statement after the first, however many are asked for.
        for _ in range(min(free - SPARE_PAGES, PAGES_PER_STEP)):
            db.execute("PRAGMA incremental_vacuum(1)")
