"""The stores that scenarios run over: each with servers of its own, which may be harmed."""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from pathlib import Path

from tests.support.engines import mongodb, redis
from tests.torture.link import Link

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
"""As in our compose file: what was acknowledged is on disk."""


class Store(ABC):
    """`start`, then `uri`, and `stop` in the end, whatever has happened."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @property
    @abstractmethod
    def uri(self) -> str: ...

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...


class Server(Store):
    """A store that is a process and can be taken away."""

    kills = True
    """Whether nothing that was acknowledged may be lost by SIGKILL."""

    @property
    @abstractmethod
    def port(self) -> int: ...

    def by(self, link: Link) -> str:
        """Its URI for a node that reaches it by a link."""
        return self.uri.replace(f":{self.port}", f":{link.port}")

    @abstractmethod
    def restart(self, how: signal.Signals) -> None:
        """Stop it by a signal, and start it on the same data."""


class SQLite(Store):
    @property
    def uri(self) -> str:
        return f"sqlite:///{self.home}/queueing.db"

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)

    def stop(self) -> None:
        """The nodes are all there is."""


class Redis(Server):
    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._pids = home.parent / "redis"  # whose home may be a disk that is full
        self.process = redis.Process(self._pids, (*DURABLE, "--dir", str(home)))

    @property
    def uri(self) -> str:
        return f"{self.process.uri}/0"

    @property
    def port(self) -> int:
        return self.process.port

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.process.start()

    def stop(self) -> None:
        self.process.stop()

    def restart(self, how: signal.Signals) -> None:
        redis.stop(self.process.pid, how)
        self.process.start()

    @property
    def serves(self) -> bool:
        return self.process.answers()

    def start_again(self) -> None:
        """As whatever runs it would, if it has ended; it may end again at once."""
        if not redis.has_ended(self.process.pid):
            return
        pidfile = self.process.home / "redis.pid"
        pidfile.unlink(missing_ok=True)
        self.process._spawn(pidfile)
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            if pidfile.exists() and (pid := pidfile.read_text().strip()):
                self.process.pid = int(pid)
                return
            time.sleep(0.02)


class RedisCluster(Server):
    """Three masters; the first is the one that is harmed."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._cluster = redis.ClusterOfThree(home, replicas=False, arguments=DURABLE)

    @property
    def uri(self) -> str:
        return self._cluster.uri

    @property
    def port(self) -> int:
        return self._cluster.masters[0].port

    def start(self) -> None:
        self._cluster.start()

    def stop(self) -> None:
        self._cluster.stop()

    def restart(self, how: signal.Signals) -> None:
        master = self._cluster.masters[0]
        redis.stop(master.pid, how)
        master.start()


class MongoDB(Server):
    """The server that the tests have for MongoDB, on disk; it writes all of it when it is told to end."""

    kills = False

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._process = mongodb.Process(home, on_disk=True)

    @property
    def uri(self) -> str:
        return f"{self._process.uri}/queueing"

    @property
    def port(self) -> int:
        return self._process.port

    def start(self) -> None:
        self._process.start()

    def stop(self) -> None:
        if self._process.pid:
            self._process.stop(signal.SIGKILL)

    def restart(self, how: signal.Signals) -> None:
        self._process.stop(how)
        self._process.start()


STORES: dict[str, type[Store]] = {
    "redis": Redis,
    "redis-cluster": RedisCluster,
    "mongodb": MongoDB,
    "sqlite": SQLite,
}
