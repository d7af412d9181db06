"""Storage URIs of MongoDB: what is filled in, and what is weaker than it should be.

    mongodb://[user:password@]host[:27017][,host...][/database][?option=value&...]
    mongodb+srv://[user:password@]name[/database][?option=value&...]

The options are those of MongoDB's own connection strings; what a URI leaves out is filled in so that
an acknowledged message is on the disks of a majority. A URI may say otherwise, and is warned of.
"""

from __future__ import annotations

import warnings
from typing import Any, Final, NamedTuple

from pymongo import MongoClient
from pymongo.common import URI_OPTIONS_VALIDATOR_MAP
from pymongo.errors import PyMongoError
from pymongo.monitoring import TopologyListener
from pymongo.read_preferences import Primary

from queueing.core.errors import SetupError
from queueing.storage.mongodb.keys import Document

DATABASE: Final = "queueing"

DEFAULTS: Final[dict[str, Any]] = {
    "w": "majority",
    "journal": True,
    "readConcernLevel": "majority",
    "appName": "queueing",
    # A server that came back is found within these two together.
    "heartbeatFrequencyMS": 500,
    "connectTimeoutMS": 1000,
}

LEVELS: Final = ("majority", "linearizable", "local", "available")

GIVEN_AS: Final = {name.lower(): name for name in DEFAULTS} | {"j": "journal"}


class Address(NamedTuple):
    """A URI, completed."""

    uri: str
    options: dict[str, Any]
    database: str

    def client(self, *listeners: TopologyListener) -> MongoClient[Document]:
        """:raises SetupError: the URI makes no sense, or needs a package that is missing"""
        try:
            with warnings.catch_warnings():
                # A value that pymongo would ignore with a warning is a mistake.
                warnings.simplefilter("error", UserWarning)
                return MongoClient(self.uri, event_listeners=listeners, **self.options)
        except (PyMongoError, UserWarning, ValueError, TypeError) as error:
            raise SetupError(f"storage: {' '.join(str(error).split())}") from None


def read(uri: str) -> Address:
    """:raises SetupError: the URI asks for what is not known, or for what no queue can be kept with"""
    rest, _, query = uri.partition("?")
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    given = {name.lower(): value for name, value in pairs}
    for name, _ in pairs:
        if name.lower() not in URI_OPTIONS_VALIDATOR_MAP:
            raise SetupError(f"storage: option {name!r} is not known to MongoDB's URIs")
    if "timeoutms" in given:
        raise SetupError("storage: set storage_timeout_seconds instead of the option 'timeoutMS'")
    if given.get("w") == "0":
        raise SetupError("storage: option 'w' expects 'majority' or a number from 1, got 0")
    level = given.get("readconcernlevel", "majority")
    if level not in LEVELS:
        raise SetupError(
            f"storage: option 'readConcernLevel' expects one of {', '.join(LEVELS)}, got {level!r}"
        )
    named = {GIVEN_AS.get(name) for name in given}
    missing = {name: value for name, value in DEFAULTS.items() if name not in named}
    _, _, database = rest.partition("://")[2].rpartition("@")[2].partition("/")
    return Address(uri, missing, database or DATABASE)


def weaknesses(client: MongoClient[Document]) -> list[str]:
    """What the URI asks for that is weaker than the defaults, a sentence each."""
    found = []
    concern = client.write_concern.document
    if concern.get("w") != "majority":
        found.append(
            f"w={concern.get('w', 1)} is weaker than majority: a fail-over may lose what was "
            "acknowledged and bring back what was deleted."
        )
    if not concern.get("j"):
        found.append("journal=false: a power cut may lose what was acknowledged.")
    if client.read_concern.level not in ("majority", "linearizable"):
        found.append(
            f"readConcernLevel={client.read_concern.level} is weaker than majority: "
            "a fail-over may undo what was read."
        )
    if not isinstance(client.read_preference, Primary):
        found.append(
            f"readPreference={client.read_preference.mongos_mode}: "
            "what is read may be old, so that messages are missed."
        )
    return found
