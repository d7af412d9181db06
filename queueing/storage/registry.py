"""From a URI to an open store. A driver is imported only when its scheme is asked for.

A driver of ours is a line in `DRIVERS`. One of a third party is an entry point of the group
`queueing.storage` whose name is the scheme and whose object is called as `open_storage` is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Final, NamedTuple, cast

from queueing.core.errors import SetupError
from queueing.storage.contract import Storage

GROUP: Final = "queueing.storage"

SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")

Opener = Callable[..., Storage]
"""`open(uri, *, timeout_seconds)`."""


class Driver(NamedTuple):
    """A module with a function `open`, and the extra that brings what it imports ("": none)."""

    module: str
    extra: str = ""


REDIS: Final = Driver("queueing.storage.redis.driver", "redis")
MONGODB: Final = Driver("queueing.storage.mongodb.driver", "mongodb")

DRIVERS: Final = {
    "sqlite": Driver("queueing.storage.sqlite.driver"),
    "redis": REDIS,
    "rediss": REDIS,
    "unix": REDIS,
    "redis+sentinel": REDIS,
    "rediss+sentinel": REDIS,
    "redis+cluster": REDIS,
    "rediss+cluster": REDIS,
    "mongodb": MONGODB,
    "mongodb+srv": MONGODB,
}


def open_storage(uri: str, *, timeout_seconds: float = 5.0) -> Storage:
    """Open the store that the URI names; a step waits for it up to `timeout_seconds`.

    :raises SetupError: one line that says what is wrong with the URI, the file or the packages
    :raises StorageUnavailable: the store is away
    """
    scheme = _scheme(uri)
    driver = DRIVERS.get(scheme)
    opener = _ours(scheme, driver) if driver else _theirs(scheme)
    return opener(uri, timeout_seconds=timeout_seconds)


def initiate_storage(uri: str, *, timeout_seconds: float = 5.0) -> None:
    """Make the servers that the URI names one store, if they are none yet: a replica set of MongoDB.

    :raises SetupError: this kind of store has nothing of the kind, or the URI does not name it
    :raises StorageUnavailable: the servers are away, or not ready yet
    """
    scheme = _scheme(uri)
    if DRIVERS.get(scheme) is not MONGODB:
        raise SetupError(
            f"storage: expected a URI of MongoDB to initiate a replica set, got {scheme}"
        )
    module = _module(scheme, Driver("queueing.storage.mongodb.replica_set", MONGODB.extra))
    module.initiate(uri, timeout_seconds=timeout_seconds)


def _scheme(uri: str) -> str:
    match = SCHEME.match(uri)
    if match is None:
        # Not shown: it may hold a password.
        raise SetupError(
            "storage: expected a URI that begins with its scheme, as sqlite:///queueing.db"
        )
    return match[1].lower()


def _ours(scheme: str, driver: Driver) -> Opener:
    return cast(Opener, _module(scheme, driver).open)


def _module(scheme: str, driver: Driver) -> ModuleType:
    try:
        return import_module(driver.module)
    except ModuleNotFoundError as error:
        if not driver.extra or (error.name or "").partition(".")[0] == "queueing":
            raise
        raise SetupError(
            f"storage {scheme}: needs the package {error.name}: "
            f"pip install 'queueing[{driver.extra}]'"
        ) from error


def _theirs(scheme: str) -> Opener:
    found = {point.name: point for point in entry_points(group=GROUP)}
    if scheme not in found:
        known = ", ".join(sorted({*DRIVERS, *found}))
        raise SetupError(f"storage: expected a scheme out of {known}, got {scheme}")
    return _loaded(scheme, found[scheme])


def _loaded(scheme: str, point: EntryPoint) -> Opener:
    try:
        return cast(Opener, point.load())
    except ImportError as error:
        raise SetupError(f"storage {scheme}: {point.value} cannot be imported: {error}") from error
