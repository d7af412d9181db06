"""Which server to ask: one, the master that Sentinel names, or the node that holds a Cluster's slot."""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from typing import Any, Final, NamedTuple

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import (
    AskError,
    MovedError,
    RedisClusterException,
    RedisError,
    SlotNotCoveredError,
)
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry
from redis.sentinel import Sentinel

from queueing.storage.redis.keys import CLUSTER_PARTITIONS, Namespace
from queueing.storage.redis.outages import Outage
from queueing.storage.redis.reconnects import Reconnects
from queueing.storage.redis.server import Server
from queueing.storage.redis.uri import Address

# A command that timed out may have been done: only `requests.py` sends one again, since
# every step may be sent twice. redis-py by itself would, ten times.
NO_RETRY: Final = Retry(NoBackoff(), 0)


class Servers(ABC):
    """The servers of one store. Threads share it, and it survives a fork."""

    partitions: int
    reconnects: Reconnects
    unknown: Outage
    """Of the time when nobody knows which server to ask."""

    @abstractmethod
    def holding(self, partition: int) -> Server | None:
        """The server that holds a partition, as far as is known."""

    def moved(self, error: MovedError) -> bool:
        """A slot is held by another server than was thought; False if this is to be no Cluster."""
        return False

    def asked(self, error: AskError) -> Server | None:
        """The server to which a slot is just moving; None if it is not known."""
        return None

    def lost(self, patience: float) -> str:
        """A server is away, or no master any more: look who is, for `patience` seconds at most.

        What went wrong with that, if anything.
        """
        return ""

    @abstractmethod
    def close(self) -> None: ...


class Timing(NamedTuple):
    """Seconds: of a whole request, of connecting, of the first exchanges on a connection."""

    total: float
    connect: float
    handshake: float

    @classmethod
    def of(cls, address: Address, timeout_seconds: float) -> Timing:
        connect = address.options.connect_timeout_seconds or timeout_seconds / 10
        return cls(timeout_seconds, min(connect, timeout_seconds), timeout_seconds * 0.3)


def servers_of(address: Address, timeout_seconds: float) -> Servers:
    timing = Timing.of(address, timeout_seconds)
    if address.kind == "cluster":
        return ClusterServers(address, timing)
    if address.kind == "sentinel":
        return SentinelServers(address, timing)
    return SingleServer(address, timing)


class SingleServer(Servers):
    """`redis://`, `rediss://`, `unix://`."""

    partitions = 1

    def __init__(self, address: Address, timing: Timing) -> None:
        where: dict[str, Any]
        if address.kind == "unix":
            where = {"unix_socket_path": address.path}
        else:
            (host, port) = address.hosts[0]
            where = {"host": host, "port": port}
        self._client = redis.Redis(**where, db=address.db, **_arguments(address, timing))
        name, pool = f"Redis at {address}", self._client.connection_pool
        self.unknown = Outage(name, timing.total)
        self.reconnects = Reconnects()
        self._server = Server(name, pool, self.unknown, self.reconnects)

    def holding(self, partition: int) -> Server:
        return self._server

    def close(self) -> None:
        self._client.close()


class SentinelServers(Servers):
    """`redis+sentinel://`: redis-py asks the Sentinels whenever it connects."""

    partitions = 1

    def __init__(self, address: Address, timing: Timing) -> None:
        arguments = _arguments(address, timing)
        asking = {
            **arguments,
            "username": address.options.sentinel_username,
            "password": address.options.sentinel_password,
            # All are asked in turn, so one that is away must not take the others' time.
            "socket_connect_timeout": min(timing.connect, timing.total / 10),
            "socket_timeout": timing.total / 10,
        }
        self._sentinel = Sentinel(list(address.hosts), sentinel_kwargs=asking)
        self._client = self._sentinel.master_for(address.master, db=address.db, **arguments)
        name, pool = f"Redis master {address}", self._client.connection_pool
        self.unknown = Outage(name, timing.total)
        self.reconnects = Reconnects()
        self._server = Server(name, pool, self.unknown, self.reconnects, one_address=True)
        # The pool knows which connections lead to another server than the master of now.
        self.reconnects.tell(self._server.forget)

    def holding(self, partition: int) -> Server:
        return self._server

    def lost(self, patience: float) -> str:
        # Those in use close themselves; the idle ones may lead to a master that is none any more.
        self._server.forget()
        self._server.pool.disconnect(inuse_connections=False)
        return ""

    def close(self) -> None:
        self._server.pool.disconnect()
        self._sentinel.close()


class ClusterServers(Servers):
    """`redis+cluster://`: redis-py reads the map of slots and keeps the nodes' connections.

    Reading the map again asks one node after the other, and each may keep silent until its time is
    up. So a thread of its own does that, and requests wait for it as long as they have time.
    """

    partitions = CLUSTER_PARTITIONS

    def __init__(self, address: Address, timing: Timing) -> None:
        self._address = address
        self._timing = timing
        self._arguments = _arguments(address, timing)
        names = Namespace(address.options.namespace, self.partitions)
        self._slots = [names.slot(partition) for partition in range(self.partitions)]
        self._cluster: RedisCluster | None = None
        self.unknown = Outage(f"Redis Cluster at {address}", timing.total)
        self.reconnects = Reconnects()
        self._known: dict[str, Server] = {}  # by the name of the node
        self._knowing = threading.Lock()
        self._first = ""  # who held the first partition when we looked last: it tells the time
        self._start_reading()

    def _start_reading(self) -> None:
        self._pid = os.getpid()
        self._reading = threading.Lock()  # held by the thread that reads the map
        self._read = threading.Event()
        self._reason = ""

    def holding(self, partition: int) -> Server | None:
        if self._cluster is None:
            return None
        try:
            node = self._cluster.nodes_manager.get_node_from_slot(self._slots[partition])
        except SlotNotCoveredError:
            return None
        return self._server(node)

    def moved(self, error: MovedError) -> bool:
        if self._cluster is not None:
            self._cluster.nodes_manager.move_slot(error)
            self._look_who_tells_the_time()
        return True

    def asked(self, error: AskError) -> Server | None:
        if self._cluster is None:
            return None
        node = self._cluster.nodes_manager.get_node(host=error.host, port=error.port)
        return None if node is None else self._server(node)

    def lost(self, patience: float) -> str:
        if self._pid != os.getpid():
            self._start_reading()  # the thread that reads was left behind by a fork
        if self._reading.acquire(blocking=False):
            self._read = threading.Event()
            thread = threading.Thread(
                target=self._read_map, args=(self._read,), name="redis-cluster-map", daemon=True
            )
            thread.start()
        if not self._read.wait(patience):
            return "no node told in time who holds which slot"
        return self._reason

    def close(self) -> None:
        if self._cluster is not None:
            self._cluster.close()

    def _server(self, node: ClusterNode) -> Server:
        if node.redis_connection is None:
            assert self._cluster is not None
            self._cluster.get_redis_connection(node)
        assert node.redis_connection is not None
        pool = node.redis_connection.connection_pool
        server = self._known.get(node.name)
        if server is not None and server.pool is pool:
            return server
        with self._knowing:
            server = self._known.get(node.name)
            if server is None or server.pool is not pool:
                name = f"Redis node {node.name}"
                outage = server.outage if server else Outage(name, self._timing.total)
                server = Server(name, pool, outage, self.reconnects)
                self._known[node.name] = server
            return server

    def _look_who_tells_the_time(self) -> None:
        server = self.holding(0)
        if server is not None and server.name != self._first:
            known, self._first = self._first, server.name
            if known:
                self.reconnects.happened()

    def _read_map(self, read: threading.Event) -> None:
        try:
            self._reason = self._read_now()
            self._look_who_tells_the_time()
        finally:
            time.sleep(0.02)  # many requests may ask for the map at once; one reading is enough
            self._reading.release()
            read.set()

    def _read_now(self) -> str:
        if self._cluster is not None:
            try:
                self._cluster.nodes_manager.initialize()
                return ""
            except (RedisError, RedisClusterException, OSError):
                pass  # none of the nodes it knew; those that the URI names may lead to others
        try:
            self._cluster = RedisCluster(
                startup_nodes=[ClusterNode(host, port) for host, port in self._address.hosts],
                retry=NO_RETRY,
                # A node that is away must not take those that answer with it.
                require_full_coverage=False,
                **{key: value for key, value in self._arguments.items() if key != "retry"},
            )
        except (RedisError, RedisClusterException, OSError) as error:
            return str(error)
        return ""


def _arguments(address: Address, timing: Timing) -> dict[str, Any]:
    """What every connection of redis-py is made with."""
    options = address.options
    arguments: dict[str, Any] = {
        "username": address.username,
        "password": address.password,
        "protocol": 2,  # no greeting: a new connection costs no round trip
        "legacy_responses": False,
        "socket_timeout": timing.handshake,
        "socket_connect_timeout": timing.connect,
        "socket_keepalive": True,
        "retry": NO_RETRY,
        "max_connections": options.pool_size,
        "driver_info": None,  # as above
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if address.kind == "unix":
        del arguments["socket_keepalive"]
    if address.tls:
        arguments |= {
            "ssl": True,
            "ssl_ca_certs": options.ssl_ca_certs,
            "ssl_certfile": options.ssl_certfile,
            "ssl_keyfile": options.ssl_keyfile,
            "ssl_check_hostname": options.ssl_check_hostname,
        }
    return arguments
