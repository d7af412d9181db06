"""Storage URIs of SQLite: `sqlite:///path[?synchronous=full|normal]`.

As SQLAlchemy reads them: `sqlite:///queueing.db` is relative to the working directory,
`sqlite:////var/lib/queueing/queueing.db` is absolute. `?` and `%` in a path are written `%3F`, `%25`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, cast
from urllib.parse import parse_qsl, unquote

from queueing.core.errors import SetupError
from queueing.storage.sqlite.connection import Synchronous


class Location(NamedTuple):
    path: Path
    synchronous: Synchronous = "full"


def read(uri: str) -> Location:
    """:raises SetupError: it names no file, or has an option that there is not"""
    rest, _, query = uri.partition(":")[2].partition("?")
    if not rest.startswith("///"):
        raise SetupError(
            f"storage: expected sqlite:///file, or sqlite:////directory/file, got {uri}"
        )
    path = unquote(rest[3:])
    if path in {"", ":memory:"} or path.endswith("/") or "\0" in path:
        raise SetupError(f"storage: expected the name of a file after sqlite:///, got {path!r}")
    return Location(Path(path).absolute(), **_options(query))


def _options(query: str) -> dict[str, Synchronous]:
    options: dict[str, Synchronous] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name != "synchronous":
            raise SetupError(f"storage: expected no option of sqlite but synchronous, got {name}")
        if value.lower() not in {"full", "normal"}:
            raise SetupError(f"storage: synchronous: expected full or normal, got {value}")
        options[name] = cast(Synchronous, value.lower())
    return options
