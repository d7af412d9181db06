"""Redis for tests: one server, a Cluster of three masters, a master with a replica and Sentinels.

Each process runs in a directory of its own, on ports that were free, and is known by its process id:
nothing here looks for processes by name. `server`, `cluster` and `sentinel` give the URI of the run's
engines, with a namespace for each test; fault tests make servers of their own with `Process`.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.stores import Engine, Place

PATIENCE_SECONDS = 60.0
MASTER = "mymaster"
SLOTS = 16384
GIVEN = "QUEUEING_TEST_REDIS_URI"
"""A server that is already there, to be used in the place of the one that would be started."""


def server(place: Place) -> str:
    given = os.environ.get(GIVEN)
    return in_namespace(given or place.engine("redis", start_server, shared=True), place)


def cluster(place: Place) -> str:
    return in_namespace(place.engine("redis-cluster", start_cluster, shared=True), place)


def sentinel(place: Place) -> str:
    return in_namespace(place.engine("redis-sentinel", start_sentinel, shared=True), place)


def in_namespace(uri: str, place: Place) -> str:
    """The URI with a namespace that belongs to the place: tests that share a server do not meet."""
    name = hashlib.sha256(str(place.directory).encode()).hexdigest()[:16]
    return f"{uri}{'&' if '?' in uri else '?'}namespace=test-{name}"


def start_server(home: Path) -> Engine:
    process = Process(home).start()
    return Engine(process.uri, [process.pid])


def start_cluster(home: Path) -> Engine:
    nodes = ClusterOfThree(home, replicas=False).start()
    return Engine(nodes.uri, nodes.pids)


def start_sentinel(home: Path) -> Engine:
    watched = WatchedMaster(home).start()
    return Engine(watched.uri, watched.pids)


@dataclass
class Process:
    """One redis-server. `start` may be called again after `kill`: on the same port and files."""

    home: Path
    arguments: tuple[str, ...] = ()
    port: int = 0
    pid: int = 0

    def start(self) -> Process:
        self.home.mkdir(parents=True, exist_ok=True)
        if self.port == 0:
            self.port = free_port()
        pidfile = self.home / "redis.pid"
        pidfile.unlink(missing_ok=True)
        self._spawn(pidfile)
        wait_for(pidfile.exists, "a redis-server to start")
        wait_for(lambda: bool(pidfile.read_text().strip()), "a redis-server to say its pid")
        self.pid = int(pidfile.read_text())
        wait_for(self.answers, f"the redis-server on port {self.port} to answer")
        return self

    def _spawn(self, pidfile: Path) -> None:
        listening = ("--port", str(self.port), "--bind", "127.0.0.1")
        files = ("--dir", str(self.home), "--pidfile", str(pidfile), "--logfile", "redis.log")
        quiet = ("--daemonize", "yes", "--save", "", "--repl-diskless-sync-delay", "0")
        run([program("redis-server"), *listening, *files, *quiet, *self.arguments])

    @property
    def uri(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.home / "redis.log").read_text()

    def answers(self) -> bool:
        try:
            return bool(self.command("PING"))
        except redis.RedisError:
            return False

    def command(self, *command: Any) -> Any:
        """The answer to one command, on a connection of its own, sent once."""
        with talk(self.port) as client:
            return client.execute_command(*command)

    def kill(self) -> None:
        """As by a crash."""
        stop(self.pid, signal.SIGKILL)

    def stop(self) -> None:
        if self.pid:
            stop(self.pid, signal.SIGKILL)


@dataclass
class ClusterOfThree:
    """Three masters, each with a replica if wanted."""

    home: Path
    replicas: bool
    arguments: tuple[str, ...] = ()
    nodes: list[Process] = field(default_factory=list)

    def start(self) -> ClusterOfThree:
        own = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        for number in range(6 if self.replicas else 3):
            port = free_port(bus=True)
            arguments = (*own, *self.arguments)
            self.nodes.append(Process(self.home / f"node{number}", arguments, port).start())
        first, *others = self.nodes
        for node in others:
            first.command("CLUSTER", "MEET", "127.0.0.1", node.port)
        bounds = [SLOTS * third // 3 for third in range(4)]
        for node, start, end in zip(self.masters, bounds, bounds[1:], strict=False):
            node.command("CLUSTER", "ADDSLOTS", *range(start, end))
        wait_for(lambda: all(self._knows_all(node) for node in self.nodes), "the nodes to meet")
        for master, replica in zip(self.masters, self.nodes[3:], strict=False):
            id = master.command("CLUSTER", "MYID").decode()
            wait_for(
                lambda replica=replica, id=id: _succeeds(replica, "CLUSTER", "REPLICATE", id),
                "a replica to know its master",
            )
        wait_for(lambda: all(map(self._is_ok, self.nodes)), "the Cluster to be ready")
        if self.replicas:
            wait_for(
                lambda: all(has_replica(master) for master in self.masters), "replicas to follow"
            )
        return self

    @property
    def masters(self) -> list[Process]:
        """Those that began as masters."""
        return self.nodes[:3]

    @property
    def uri(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.masters)
        return f"redis+cluster://{hosts}"

    @property
    def pids(self) -> list[int]:
        return [node.pid for node in self.nodes]

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def _knows_all(self, node: Process) -> bool:
        with talk(node.port) as client:
            return len(client.cluster("nodes")) == len(self.nodes)

    def _is_ok(self, node: Process) -> bool:
        with talk(node.port) as client:
            info = client.cluster("info")
            return info["cluster_state"] == "ok" and info["cluster_slots_ok"] == str(SLOTS)


@dataclass
class WatchedMaster:
    """A master and a replica, watched by three Sentinels that agree by two."""

    home: Path
    arguments: tuple[str, ...] = ()
    down_after_milliseconds: int = 1000
    servers: list[Process] = field(default_factory=list)
    sentinels: list[Process] = field(default_factory=list)

    def start(self) -> WatchedMaster:
        master = Process(self.home / "server0", self.arguments).start()
        following = ("--replicaof", f"127.0.0.1 {master.port}")
        replica = Process(self.home / "server1", (*self.arguments, *following)).start()
        self.servers = [master, replica]
        wait_for(lambda: has_replica(master), "the replica to follow")
        for number in range(3):
            home = self.home / f"sentinel{number}"
            self.sentinels.append(
                SentinelProcess(
                    home,
                    watched=master.port,
                    down_after_milliseconds=self.down_after_milliseconds,
                ).start()
            )
        wait_for(
            lambda: all(map(self._sees_all, self.sentinels)), "the Sentinels to see each other"
        )
        return self

    @property
    def uri(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{MASTER}"

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in (*self.sentinels, *self.servers)]

    def master(self) -> Process:
        """The one that the first Sentinel names now."""
        host_and_port = self.sentinels[0].command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        port = int(host_and_port[1])
        return next(server for server in self.servers if server.port == port)

    def stop(self) -> None:
        for process in (*self.sentinels, *self.servers):
            process.stop()

    def _sees_all(self, sentinel: Process) -> bool:
        with talk(sentinel.port) as client:
            state = client.sentinel_master(MASTER)
        return state["num-other-sentinels"] == 2 and state["num-slaves"] == 1


@dataclass
class SentinelProcess(Process):
    watched: int = 0
    down_after_milliseconds: int = 1000

    def _spawn(self, pidfile: Path) -> None:
        config = self.home / "sentinel.conf"
        if not config.exists():
            config.write_text(
                f"port {self.port}\nbind 127.0.0.1\ndaemonize yes\nlogfile redis.log\n"
                f"dir {self.home}\npidfile {pidfile}\n"
                f"sentinel monitor {MASTER} 127.0.0.1 {self.watched} 2\n"
                f"sentinel down-after-milliseconds {MASTER} {self.down_after_milliseconds}\n"
                f"sentinel failover-timeout {MASTER} 1500\n"
            )
        run([program("redis-server"), str(config), "--sentinel"])


def has_replica(master: Process) -> bool:
    """One that is up to date with it, but for what is on the way."""
    with talk(master.port) as client:
        info = client.info("replication")
    return any(info.get(f"slave{number}", {}).get("state") == "online" for number in range(3))


def talk(port: int) -> redis.Redis:
    """A client that sends each command once."""
    return redis.Redis(
        host="127.0.0.1",
        port=port,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=5,
        driver_info=None,
    )


def _succeeds(process: Process, *command: Any) -> bool:
    try:
        process.command(*command)
    except redis.ResponseError:
        return False
    return True


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s in vain for {what}"
        time.sleep(0.02)


def stop(pid: int, how: signal.Signals) -> None:
    """Send the signal, and wait until the process has ended."""
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return
    wait_for(lambda: has_ended(pid), f"process {pid} to end")


def has_ended(pid: int) -> bool:
    """Also true of one that lingers until its parent asks for it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


PORTS = range(11_000, 22_000)
"""Below those that the system gives to clients: one that asks again and again for a server that is
down may be given the server's own port for its end of the connection, and so connect to itself."""


def free_port(*, bus: bool = False) -> int:
    """A port that was free a moment ago; with `bus`, that of a Cluster's bus, 10,000 above, too."""
    for port in random.SystemRandom().sample(PORTS, 1000):
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                if bus:
                    other.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is not installed: make engines, or apt-get install redis-server"
    return found


def run(command: Iterable[str]) -> None:
    done = subprocess.run(list(command), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{list(command)}: {done.stdout}{done.stderr}"


@contextmanager
def running(process: Any) -> Iterator[Any]:
    """Start it, stop it in the end."""
    try:
        yield process.start()
    finally:
        process.stop()
