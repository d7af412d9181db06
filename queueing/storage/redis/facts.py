"""How a Redis is set up to keep what it is given."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from queueing.storage.redis.errors import ResponseError

SECTIONS: Final = ("server", "replication", "persistence", "memory", "cluster")
QUESTIONS: Final[Sequence[tuple[Any, ...]]] = (
    *(("INFO", section) for section in SECTIONS),
    ("CONFIG", "GET", "appendfsync"),
)
UNKNOWN: Final = "unknown"


class Facts(NamedTuple):
    """Settings that decide what can be lost; where nodes differ, all their values, with commas."""

    engine: str
    version_text: str
    role: str
    appendonly: str
    appendfsync: str
    maxmemory_policy: str
    replicas: int  # the fewest of any master
    silent: int = 0  # how many servers did not answer

    @property
    def version(self) -> tuple[int, ...] | None:
        """The oldest of any server, None if none says its version."""
        known = re.findall(r"(\d+)\.(\d+)[^,]*", self.version_text)
        return min(((int(major), int(minor)) for major, minor in known), default=None)

    def __str__(self) -> str:
        return (
            f"{self.engine} {self.version_text}, role {self.role}, {self.replicas} replicas, "
            f"appendonly {self.appendonly}, appendfsync {self.appendfsync}, "
            f"maxmemory-policy {self.maxmemory_policy}"
        )

    def durability(self, min_replicas: int) -> Mapping[str, str | int | bool]:
        facts: dict[str, str | int | bool] = {
            "engine": f"{self.engine} {self.version_text}",
            "promise": self.promise(min_replicas),
            "role": self.role,
            "appendonly": self.appendonly,
            "appendfsync": self.appendfsync,
            "maxmemory-policy": self.maxmemory_policy,
            "replicas": self.replicas,
            "min_replicas": min_replicas,
        }
        warnings = self.warnings(min_replicas)
        if warnings:
            facts["warning"] = " ".join(warnings)
        return facts

    def promise(self, min_replicas: int) -> str:
        if self.appendonly != "yes":
            kept = "A crash of the server loses what came since its last snapshot."
        elif self.appendfsync == "always":
            kept = "What was acknowledged survives a crash of the server and a power cut."
        elif self.appendfsync == "everysec":
            kept = "A crash of the server or a power cut can lose the last second or two."
        else:
            kept = "A crash of the server loses nothing, a power cut what was not on disk yet."
        if min_replicas:
            return f"{kept} A fail-over loses nothing that was acknowledged."
        return f"{kept} A fail-over can lose the last moments before it."

    def warnings(self, min_replicas: int) -> list[str]:
        found = []
        if self.maxmemory_policy != "noeviction":
            found.append(
                f"maxmemory-policy is {self.maxmemory_policy}: a full server may throw messages "
                "away; set it to noeviction."
            )
        if self.silent:
            found.append(f"{self.silent} of its servers do not answer.")
        if "slave" in self.role:
            found.append("It is a replica, which cannot be written to.")
        if self.replicas < min_replicas:
            found.append(
                f"min_replicas is {min_replicas}, and a master has {self.replicas} replicas now: "
                "writes are answered 503."
            )
        return found


def facts_of(answers: Sequence[Sequence[Any]], silent: int = 0) -> Facts:
    """What servers answered to `QUESTIONS`; how many did not. Some may have gone just now."""
    found = [_facts_of_one(answer) for answer in answers]
    return Facts(
        engine=_joined(each.engine for each in found),
        version_text=_joined(each.version_text for each in found),
        role=_joined(each.role for each in found),
        appendonly=_joined(each.appendonly for each in found),
        appendfsync=_joined(each.appendfsync for each in found),
        maxmemory_policy=_joined(each.maxmemory_policy for each in found),
        replicas=min((each.replicas for each in found), default=0),
        silent=silent,
    )


def _facts_of_one(answer: Sequence[Any]) -> Facts:
    *sections, config = answer
    info: dict[str, str] = {}
    for section in sections:
        if isinstance(section, bytes):
            info.update(re.findall(r"^([a-z0-9_]+):(.*?)\r?$", section.decode(), re.MULTILINE))
    # Some accounts may not ask for the configuration, and some providers hide it.
    hidden = isinstance(config, ResponseError) or len(config) < 2
    valkey = "valkey_version" in info
    return Facts(
        engine="Valkey" if valkey else "Redis",
        version_text=info.get("valkey_version") or info.get("redis_version", UNKNOWN),
        role=info.get("role", UNKNOWN),
        appendonly={"1": "yes", "0": "no"}.get(info.get("aof_enabled", ""), UNKNOWN),
        appendfsync=UNKNOWN if hidden else config[1].decode(),
        maxmemory_policy=info.get("maxmemory_policy", UNKNOWN),
        replicas=int(info.get("connected_slaves", 0)),
    )


def _joined(values: Any) -> str:
    return ",".join(sorted(set(values))) or UNKNOWN
