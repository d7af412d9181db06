"""What a run does: a plan, and the share of it that one process of the load generator does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

Finish = Literal["each", "bulk", "release", "keep"]
"""What a worker does with what it claimed: deletes them one by one, deletes all in one request, releases
the claim, or keeps it."""

LARGEST_CLAIM = 20  # messages; what a server of the v2 API allows unless it is told otherwise


class BadPlan(ValueError):
    """The plan cannot be carried out; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where requests go, and as whom. `prefix` is what the path begins with before `/v2`, mostly nothing."""

    host: str
    port: int
    prefix: str = ""
    project: str = "bench"
    client_id: str = "3381af92-2b9e-11e3-b191-71861300734c"
    headers: tuple[tuple[str, str], ...] = ()
    timeout_seconds: float = 30.0

    @staticmethod
    def parse(url: str) -> Target:
        """:raises BadPlan: it is not of the form http://host[:port][/prefix]"""
        wrong = BadPlan(f"{url!r}: expected http://host[:port]")
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port or 80
        except ValueError:
            raise wrong from None
        if parts.scheme != "http" or not parts.hostname or parts.query or parts.username:
            raise wrong
        return Target(
            host=parts.hostname, port=port, prefix=parts.path.rstrip("/").removesuffix("/v2")
        )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The load. Producers, workers and so on are connections, each with one request in flight."""

    target: Target
    queues: tuple[str, ...]
    producers: int = 0
    workers: int = 0
    cyclers: int = 0  # post, claim, delete in turn, on one connection
    observers: int = 0
    waiters: int = 0
    batch: int = 1  # messages in a post
    claim: int = 10  # messages asked for by a claim
    size: int = 100  # bytes of a message's body
    finish: Finish = "each"
    ttl: int = 3600  # seconds
    claim_ttl: int = 60  # seconds
    wait: int = 0  # seconds that a worker's claim waits
    largest_claim: int = LARGEST_CLAIM  # messages that the server lets a claim ask for
    patience: int = 20  # seconds that a waiter's claim waits
    messages: int | None = None  # to post in all; None: until told to stop

    @property
    def connections(self) -> int:
        return self.producers + self.workers + self.cyclers + self.observers + self.waiters

    def check(self) -> None:
        """:raises BadPlan: nothing to do, or parts that do not fit each other"""
        if not self.connections:
            raise BadPlan("nobody to work: give producers, workers, cyclers, observers or waiters")
        if self.messages is not None and not self.producers + self.cyclers:
            raise BadPlan("messages: nobody posts them: give producers or cyclers")
        if self.size < SMALLEST_BODY:
            raise BadPlan(f"size: expected at least {SMALLEST_BODY} bytes, got {self.size}")

    def share(self, index: int, of: int) -> Plan:
        """The part that process `index` of `of` does, so that all parts together are the plan."""
        posting = self.producers + self.cyclers
        mine = self._cut(self.producers, index, of) + self._cut(self.cyclers, index, of)
        messages = None
        if self.messages is not None:
            # By connection, so that all of them end at about the same time.
            before = sum(
                self._cut(self.producers, i, of) + self._cut(self.cyclers, i, of)
                for i in range(index)
            )
            messages = (
                self.messages * (before + mine) // posting - self.messages * before // posting
            )
        return replace(
            self,
            producers=self._cut(self.producers, index, of),
            workers=self._cut(self.workers, index, of),
            cyclers=self._cut(self.cyclers, index, of),
            observers=self._cut(self.observers, of - 1 - index, of),
            waiters=self._cut(self.waiters, of - 1 - index, of),
            messages=messages,
        )

    @staticmethod
    def _cut(number: int, index: int, of: int) -> int:
        return number * (index + 1) // of - number * index // of


SMALLEST_BODY = 48  # bytes: which run, producer and number, and the names around them


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What stands in the queues before the load begins."""

    depth: int = 0  # messages that are free
    claimed: int = 0  # messages under claims that outlive the run
