"""Which version of the schema a file has, and how it gets the present one."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from queueing.core.errors import SetupError

VERSION: Final = 1

APPLICATION: Final = 0x71756575
"""`PRAGMA application_id`: the file is ours. Reads `queu` in ASCII."""

MIGRATIONS: Final[Mapping[int, str]] = {}
"""By version: the statements that make a file of that version one of the next."""


def prepare(
    db: sqlite3.Connection,
    name: str,
    *,
    version: int = VERSION,
    migrations: Mapping[int, str] = MIGRATIONS,
) -> None:
    """Give a new file its schema, bring an older one to this version, refuse others.

    Nobody else may be at it meanwhile. Every version is reached in one transaction.

    :raises SetupError: the file is of a newer version, or of another program
    """
    found = _version(db, name)
    if found > version:
        raise SetupError(
            f"storage: {name} was written by a newer queueing (schema {found}, this one knows "
            f"{version}): run that one, or give it another file"
        )
    if found == 0:
        # Only a file without pages can choose how it gives space back.
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _write_ahead(db, name)
        script = files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")
        _run(db, script, version)
        return
    _write_ahead(db, name)
    for older in range(found, version):
        _run(db, migrations[older], older + 1)


def _write_ahead(db: sqlite3.Connection, name: str) -> None:
    (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise SetupError(
            f"storage: {name}: the file system does not let processes share memory, which a "
            "write-ahead log needs: expected a local disk"
        )


def _version(db: sqlite3.Connection, name: str) -> int:
    """The file's version, 0 if it is new."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application == APPLICATION:
        return int(version)
    if version or application or tables:
        raise SetupError(f"storage: {name} is a database of another program")
    return 0


def _run(db: sqlite3.Connection, script: str, version: int) -> None:
    # `executescript` would commit what is open, so the transaction is part of the script.
    try:
        db.executescript(
            f"BEGIN IMMEDIATE;\n{script}\n"
            f"PRAGMA application_id = {APPLICATION};\nPRAGMA user_version = {version};\nCOMMIT;"
        )
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
