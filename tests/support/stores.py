"""The stores that the tests run over. Adding one is a line in `STORES`.

A store gives a URI to open. One that needs a server gives `place.engine(name, start)`: `start` is
called when a test process needs the server first, with an empty directory that is its own; all
later tests of the process get the same URI, and what was started is stopped by process id when the
run ends. Tests use fresh projects, so they may share a server one after the other. Those that run
at once may not, since one of them may sweep at a time that the others have not reached: a server
that is `shared` by all test processes must be divided into databases, one for each test.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from queueing.storage.contract import Storage
from queueing.storage.registry import open_storage
from tests.model import ModelStorage

RUN_DIRECTORY = "QUEUEING_TEST_RUN_DIRECTORY"
PATIENCE_SECONDS = 30.0
"""How long a step may take on a machine that is busy with other tests."""


class Engine(NamedTuple):
    """A running server: what to open, and which processes to stop at the end of the run."""

    uri: str
    pids: Sequence[int] = ()


@dataclass(frozen=True)
class Place:
    """Where one test may keep files, and where the whole run keeps its engines."""

    directory: Path
    run: Path

    def engine(self, name: str, start: Callable[[Path], Engine], *, shared: bool = False) -> str:
        """The URI of the engine of this name, started by whoever asks first."""
        own = name if shared else f"{name}-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
        record = self.run / f"{own}.json"
        with (self.run / f"{own}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not record.exists():
                home = self.run / own
                home.mkdir(exist_ok=True)
                record.write_text(json.dumps(start(home)._asdict()))
            uri = json.loads(record.read_text())["uri"]
            assert isinstance(uri, str)
            return uri


@dataclass(frozen=True)
class Store:
    """A driver and its engine, by the name that `--stores` knows."""

    name: str
    uri: Callable[[Place], str] | None  # None: lives in the memory of the test
    resends: bool = False  # as its `Storage.resends`, known before anything is open
    announces: bool = False  # whether it is one of those that implement `Announces`

    def open(self, place: Place) -> Storage:
        if self.uri is None:
            return ModelStorage()
        return open_storage(self.uri(place), timeout_seconds=PATIENCE_SECONDS)

    def reopen(self, storage: Storage, place: Place) -> Storage:
        """As after a restart of the node."""
        if self.uri is None:
            return storage
        storage.close()
        return self.open(place)


def sqlite(place: Place) -> str:
    return f"sqlite:///{place.directory}/queueing.db"


def mongodb(place: Place) -> str:
    from tests.support.engines.mongodb import server

    return server(place)


def redis(place: Place) -> str:
    from tests.support.engines.redis import server

    return server(place)


def redis_cluster(place: Place) -> str:
    from tests.support.engines.redis import cluster

    return cluster(place)


def redis_sentinel(place: Place) -> str:
    from tests.support.engines.redis import sentinel

    return sentinel(place)


STORES = {
    store.name: store
    for store in [
        Store("model", None, resends=True, announces=True),
        Store("sqlite", sqlite, announces=True),
        Store("redis", redis, resends=True, announces=True),
        Store("redis-cluster", redis_cluster, resends=True, announces=True),
        Store("redis-sentinel", redis_sentinel, resends=True, announces=True),
        Store("mongodb", mongodb, announces=True),
    ]
}


def chosen(option: str) -> list[Store]:
    """The stores that `--stores` names, all of them by default."""
    names = option.split(",") if option else list(STORES)
    unknown = set(names) - set(STORES)
    if unknown:
        raise ValueError(
            f"--stores: expected some of {','.join(STORES)}, got {','.join(sorted(unknown))}"
        )
    return [STORES[name] for name in names]


def begin_run() -> None:
    """Make the run's directory; test processes started from here on find it by the environment."""
    os.environ[RUN_DIRECTORY] = tempfile.mkdtemp(prefix="queueing-tests-")


def run_directory() -> Path:
    return Path(os.environ[RUN_DIRECTORY])


def end_run() -> None:
    """Stop every engine that this run started, and remove its files."""
    directory = Path(os.environ.pop(RUN_DIRECTORY))
    for record in directory.glob("*.json"):
        for pid in json.loads(record.read_text())["pids"]:
            _stop(pid)
    shutil.rmtree(directory, ignore_errors=True)


def _stop(pid: int) -> None:
    deadline = time.monotonic() + 10
    try:
        os.kill(pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            _reap(pid)
            os.kill(pid, 0)
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        _reap(pid)
    except ProcessLookupError:
        pass


def _reap(pid: int) -> None:
    """A child that has ended lingers until its parent asks; those of other processes do not."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass
