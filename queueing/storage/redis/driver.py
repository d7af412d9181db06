"""The Redis driver, open: how the server keeps what it is given, sweeping, the store's clock.

Order, holding and expiry are indexes of each queue (`scripts/_keys.lua`); each verb is one script
(`scripts/`), which Redis runs to its end before it looks at anything else; so one round trip is one
atomic step, also for what other processes see. `requests.py` says what happens to a request whose
answer gets lost, `keys.py` how queues are spread over a Cluster.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import Any, Final

from queueing.core.errors import SetupError, StorageUnavailable
from queueing.core.models import QueueRef
from queueing.storage.contract import Announces, Connections, Storage
from queueing.storage.redis.claims import RedisClaims
from queueing.storage.redis.connection import Connection
from queueing.storage.redis.errors import refusal
from queueing.storage.redis.facts import QUESTIONS, Facts, facts_of
from queueing.storage.redis.keys import Namespace, queue_of
from queueing.storage.redis.messages import RedisMessages
from queueing.storage.redis.outages import Refusals
from queueing.storage.redis.queues import RedisQueues
from queueing.storage.redis.records import both, microseconds
from queueing.storage.redis.requests import Policy
from queueing.storage.redis.scripts import SWEEP
from queueing.storage.redis.servers import servers_of
from queueing.storage.redis.uri import read

logger = logging.getLogger(__name__)

OLDEST: Final = (6, 2)
"""The first version with `ZADD LT` and `ZMSCORE`."""


class RedisStorage(Storage, Announces):
    """One open store. Its connections survive a fork: a child makes its own."""

    resends = True

    def __init__(self, connection: Connection, min_replicas: int) -> None:
        self._connection = connection
        connection.tell_reconnects(self._reconnected)
        self._names = connection.names
        self._min_replicas = min_replicas
        self.queues = RedisQueues(connection)
        self._announcements = connection.announcements()
        self.messages = RedisMessages(connection, self._announcements)
        self.claims = RedisClaims(connection, self._announcements)

    def time(self) -> float:
        # In a Cluster each machine has a clock of its own: always the same partition's.
        seconds, microseconds = self._connection.ask(0, "TIME")
        return int(seconds) + int(microseconds) / 1_000_000

    def ping(self) -> None:
        # A command with a key: `PING` is answered by a node of a Cluster that is down.
        self._connection.ask(0, "EXISTS", self._names.agenda(0))

    def durability(self) -> Mapping[str, str | int | bool]:
        return self.facts().durability(self._min_replicas)

    def facts(self) -> Facts:
        """:raises StorageUnavailable:"""
        self.ping()
        return facts_of(*self._connection.ask_servers(QUESTIONS))

    def connections(self) -> Connections | None:
        counts = [server.counts() for server in self._connection.every_server()]
        in_use, idle = map(sum, zip(*counts, strict=True)) if counts else (0, 0)
        return Connections(in_use=in_use, idle=idle)

    def collect(self, *, now: float, limit: int) -> int:
        swept = 0
        away: StorageUnavailable | None = None
        idle: list[bytes] = []
        end = time.monotonic() + self._connection.timeout_seconds
        # A round may sweep nothing: queues whose messages were deleted are due once more. But these
        # are not due again then, and what is found twice all the same would be found for ever.
        while swept < limit and away is None and (refs := self._due(now, limit - swept)):
            if refs == idle or time.monotonic() > end:
                break
            before = swept
            for ref in refs:
                if swept >= limit:
                    break
                try:
                    swept += self._sweep(ref, now, limit - swept)
                except StorageUnavailable as error:
                    away = error  # its server; those of others can be swept
            idle = refs if swept == before else []
        if away is not None and not swept:
            raise away
        return swept

    def piles(self, *, limit: int) -> list[QueueRef]:
        partitions = range(self._names.partitions)
        asked = [(at, ("SRANDMEMBER", self._names.piles(at), limit)) for at in partitions]
        refs = _in_turn(self._connection.ask_those_there(asked))
        return [queue_of(ref) for ref in refs[:limit]]

    def listen(self, hear: Callable[[QueueRef, int], None]) -> None:
        self._announcements.listen(hear)

    def follow(self, queue: QueueRef) -> bool:
        return self._announcements.follow(queue)

    def unfollow(self, queue: QueueRef) -> None:
        self._announcements.unfollow(queue)

    def close(self) -> None:
        self._announcements.close()
        self._connection.close()

    def _reconnected(self) -> None:
        if self.on_reconnect is not None:
            self.on_reconnect()

    def _due(self, now: float, limit: int) -> list[bytes]:
        """Queues in which something is to be swept by now."""
        asked: list[tuple[int, tuple[Any, ...]]] = []
        for partition in range(self._names.partitions):
            due = ("-inf", microseconds(now), "LIMIT", 0, limit)
            asked.append((partition, ("ZRANGEBYSCORE", self._names.agenda(partition), *due)))
        return _in_turn(self._connection.ask_those_there(asked))[:limit]

    def _sweep(self, ref: bytes, now: float, limit: int) -> int:
        keys = self._names.queue(queue_of(ref))
        burials = [keys.own(b"burials")]
        return int(self._connection.run(SWEEP, keys, *both(now), limit, ref, keys=burials))


def _in_turn(answers: list[list[bytes]]) -> list[bytes]:
    """The first of each answer, then the second of each, ...: no partition stands in others' way."""
    return [ref for refs in zip_longest(*answers) for ref in refs if ref is not None]


def open(uri: str, *, timeout_seconds: float) -> RedisStorage:
    """Open the store at `uri`. A server that is away is waited for by each request, not here.

    :raises SetupError: the URI makes no sense, the server is too old or refuses us
    """
    address = read(uri)
    options = address.options
    servers = servers_of(address, timeout_seconds)
    policy = Policy(
        servers=servers,
        refusals=Refusals(),
        timeout_seconds=timeout_seconds,
        answer_seconds=min(options.answer_timeout_seconds or timeout_seconds / 2, timeout_seconds),
        min_replicas=options.min_replicas,
    )
    connection = Connection(Namespace(options.namespace, servers.partitions), policy)
    storage = RedisStorage(connection, options.min_replicas)
    try:
        facts = storage.facts()
    except StorageUnavailable as error:
        if refused := refusal(error):
            storage.close()
            raise SetupError(f"storage: Redis at {address} refuses us: {refused}") from error
        logger.warning("Redis at %s is away, requests get 503 until it is there", address)
        return storage
    if facts.version is not None and facts.version < OLDEST:
        storage.close()
        oldest = ".".join(map(str, OLDEST))
        raise SetupError(
            f"storage: expected Redis {oldest} or later at {address}, got {facts.version_text}"
        )
    logger.info("Redis at %s: %s", address, facts)
    for warning in facts.warnings(options.min_replicas):
        logger.warning("Redis at %s: %s", address, warning)
    connection.load_scripts()
    return storage
