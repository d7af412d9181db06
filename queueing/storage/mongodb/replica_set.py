"""Making servers a replica set, once: the step of a deployment that nobody else does."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import pymongo
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from queueing.core.errors import SetupError, StorageUnavailable
from queueing.storage.mongodb.keys import Document

ALREADY_INITIALIZED: Final = 23
NO_REPLICATION_ENABLED: Final = 76
COMMAND_NOT_FOUND: Final = 59

PAUSE_SECONDS: Final = 0.2


class Wanted(NamedTuple):
    """The set that a URI describes, and how its first server is reached by itself."""

    name: str
    members: Sequence[str]
    uri: str


def initiate(uri: str, *, timeout_seconds: float) -> None:
    """Make the servers of the URI a replica set by the name that it has there, if they are none; return
    once it has a primary. Again, it changes nothing: members are not added, nor removed.

    :raises SetupError: the URI names no set, or its servers are part of none or of another
    :raises StorageUnavailable: a server did not answer, or none became primary in time
    """
    set_ = wanted(uri)
    milliseconds = round(timeout_seconds * 1000)
    client: MongoClient[Document] = MongoClient(
        set_.uri, directConnection=True, serverSelectionTimeoutMS=milliseconds
    )
    try:
        with pymongo.timeout(timeout_seconds):
            _initiate(client, set_)
            _wait_for_primary(client, time.monotonic() + timeout_seconds)
    except PyMongoError as error:
        raise StorageUnavailable(
            f"{set_.members[0]}: {' '.join(str(error).split())[:200]}"
        ) from error
    finally:
        client.close()


def wanted(uri: str) -> Wanted:
    """:raises SetupError: the URI does not say all that is needed"""
    scheme, _, rest = uri.partition("://")
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    credentials, at, hosts = authority.rpartition("@")
    pairs = [pair for pair in query.split("&") if pair]
    names = [value for key, _, value in (pair.partition("=") for pair in pairs)
             if key.lower() == "replicaset" and value]  # fmt: skip
    if scheme.lower() != "mongodb" or not names or not hosts:
        raise SetupError(
            "storage: expected mongodb://host[,host...]/...?replicaSet=name to initiate a replica set"
        )
    kept = "&".join(pair for pair in pairs if pair.partition("=")[0].lower() != "replicaset")
    members = [_with_port(host) for host in hosts.split(",")]
    return Wanted(names[0], members, f"{scheme}://{credentials}{at}{members[0]}/{path}?{kept}")


def _with_port(host: str) -> str:
    return host if host.rpartition("]")[2].count(":") else f"{host}:27017"


def _initiate(client: MongoClient[Document], set_: Wanted) -> None:
    name = _hello(client).get("setName")
    if name is not None:
        if name != set_.name:
            raise SetupError(f"storage: option 'replicaSet' expects {name}, got {set_.name}")
        return
    members = [{"_id": number, "host": host} for number, host in enumerate(set_.members)]
    try:
        client.admin.command("replSetInitiate", {"_id": set_.name, "members": members})
    except OperationFailure as error:
        if error.code in (NO_REPLICATION_ENABLED, COMMAND_NOT_FOUND):
            raise SetupError(
                f"storage: {set_.members[0]} runs without --replSet, so it cannot be made a replica set"
            ) from None
        if error.code != ALREADY_INITIALIZED:  # by somebody else, at the same time
            raise


def _wait_for_primary(client: MongoClient[Document], deadline: float) -> None:
    while not _hello(client).get("primary"):
        if time.monotonic() + PAUSE_SECONDS >= deadline:
            raise StorageUnavailable("The replica set has no primary yet.")
        time.sleep(PAUSE_SECONDS)


def _hello(client: MongoClient[Document]) -> Mapping[str, Any]:
    try:
        return client.admin.command("hello")
    except OperationFailure as error:
        if error.code != COMMAND_NOT_FOUND:
            raise
        return client.admin.command("isMaster")
