"""The scripts: one per verb. A line `-- @include a b` stands for the files `_a.lua` and `_b.lua`.

A line `-- @keys A B + C` stands for locals of these names: keys of the queue, then those that only
this script has.
"""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import Final, NamedTuple

from queueing.storage.redis.keys import ALL_KEYS


class Script(NamedTuple):
    """A script by name; Redis knows it by the SHA-1 of its source once it has seen it."""

    name: str
    source: bytes
    sha: bytes
    keys: tuple[int, ...]
    """Which keys of a queue it is handed, as places in `QueueKeys.all`."""


def load(name: str) -> Script:
    text = _read(name)
    declared = _KEYS.search(text)
    assert declared is not None, name
    shared, _, own = declared[1].partition(" + ")
    names = shared.split()
    handed = [*names, *own.split()]
    places = ", ".join(f"KEYS[{number}]" for number in range(1, len(handed) + 1))
    text = _KEYS.sub(f"local {', '.join(handed)} = {places}", text)
    source = _INCLUDE.sub(_included, text).encode()
    sha = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
    return Script(name, source, sha, tuple(ALL_KEYS.index(each.lower()) for each in names))


def _included(line: re.Match[str]) -> str:
    return "\n".join(_read(f"_{name}") for name in line.group(1).split())


def _read(name: str) -> str:
    return files(__name__).joinpath(f"{name}.lua").read_text(encoding="utf-8")


_KEYS: Final = re.compile(r"^-- @keys (.+)$", re.MULTILINE)
_INCLUDE: Final = re.compile(r"^-- @include (.+)$", re.MULTILINE)

POST: Final = load("post")
CLAIM: Final = load("claim")
POP: Final = load("pop")
GET: Final = load("get")
PAGE: Final = load("page")
STATS: Final = load("stats")
OUTLOOK: Final = load("outlook")
SETTLE: Final = load("settle")
DELETE: Final = load("delete")
DELETE_MANY: Final = load("delete_many")
PURGE: Final = load("purge")
RENEW: Final = load("renew")
RELEASE: Final = load("release")
CLAIM_GET: Final = load("claim_get")
DEAD_LETTERS: Final = load("dead_letters")
ACCEPT: Final = load("accept")
CLEAR: Final = load("clear")
CREATE: Final = load("create")
REPLACE: Final = load("replace")
DELETE_QUEUE: Final = load("delete_queue")
SWEEP: Final = load("sweep")

ALL: Final = (
    *(
        POST,
        CLAIM,
        POP,
        GET,
        PAGE,
        STATS,
        OUTLOOK,
        SETTLE,
        DELETE,
        DELETE_MANY,
        PURGE,
        RENEW,
        RELEASE,
    ),
    *(CLAIM_GET, DEAD_LETTERS, ACCEPT, CLEAR, CREATE, REPLACE, DELETE_QUEUE, SWEEP),
)
