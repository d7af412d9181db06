"""Servers to compare: started on free ports, watched for the CPU time that they use, stopped again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from queueing.bench.plan import LARGEST_CLAIM, Target
from queueing.bench.run import V2

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
DEADLINE = 60.0  # seconds until a server must answer
TICKS = os.sysconf("SC_CLK_TCK")
GUNICORN = ("--worker-class=gthread", "--workers=1", "--threads=8", "--no-control-socket")
GRANIAN = (
    "--interface=wsgi",
    "--workers=1",
    "--blocking-threads=8",
    "--no-ws",
    "--log-level=warning",
)


class Failed(Exception):
    """A server did not start; the text has the end of its log."""


class Process:
    """A program and all its children."""

    def __init__(
        self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=dict(os.environ if env is None else env),
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, port: int, *, http: bool = True, seconds: float = DEADLINE) -> None:
        """:raises Failed: it ended, or does not answer"""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.connect()
                if http:
                    connection.request("GET", "/")
                    connection.getresponse().read()
                return
            except (OSError, HTTPException):
                time.sleep(0.05)
            finally:
                connection.close()
        self.stop()
        raise Failed(self._log.read_text(errors="replace")[-2000:])

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def pids(self) -> list[int]:
        """Of the program, its children and theirs."""
        found, waiting = [], [self._process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            try:
                for task in Path(f"/proc/{pid}/task").iterdir():
                    waiting += map(int, (task / "children").read_text().split())
            except OSError:
                continue  # it has just ended
        return found

    def cpu_seconds(self) -> float:
        """Of the program, its children, and those of them that have ended."""
        total = 0.0
        for pid in self.pids():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            total += sum(map(int, fields[11:15])) / TICKS
        return total

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to whatever is left of its process group."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()


class Service:
    """Some nodes that serve the same queues. With `also`, processes whose CPU time counts as theirs."""

    def __init__(self, name: str, also: Sequence[Process] = ()) -> None:
        self.name = name
        self.targets: list[Target] = []
        self.largest_claim = LARGEST_CLAIM
        self.dialect = V2
        self._nodes: list[Process] = []
        self._also = tuple(also)

    def add(
        self,
        command: Sequence[str],
        port: int,
        log: Path,
        env: Mapping[str, str] | None = None,
        *,
        deadline: float = DEADLINE,
    ) -> None:
        """Start one more node, which has `deadline` seconds to answer."""
        node = Process(command, log, env)
        self._nodes.append(node)
        node.wait_for(port, seconds=deadline)
        self.targets.append(Target(host="127.0.0.1", port=port, timeout_seconds=120))

    def cpu_seconds(self) -> float:
        return sum(node.cpu_seconds() for node in self._nodes) + self.store_cpu_seconds()

    def store_cpu_seconds(self) -> float:
        return sum(process.cpu_seconds() for process in self._also)

    def stop(self) -> None:
        for node in self._nodes:
            node.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def redis(directory: Path) -> tuple[Process, str]:
    """A Redis server that writes nothing to disk, and its URI."""
    program = shutil.which("redis-server")
    if not program:
        raise Failed("redis-server: not found")
    port = free_port()
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    process = Process([program, *options], directory / "redis.log")
    process.wait_for(port, http=False)
    return process, f"redis://127.0.0.1:{port}/0"


def ours(
    name: str,
    storage: str,
    directory: Path,
    *,
    server: str = "gunicorn",
    nodes: int = 2,
    also: Sequence[Process] = (),
) -> Service:
    """`queueing` with one worker process in each node, without an access log."""
    service = Service(name, also)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("QUEUEING_")}
    env = kept | {"QUEUEING_STORAGE": storage, "QUEUEING_ACCESS_LOG": "false"}
    serve(service, "queueing.wsgi:app", env, directory, server, nodes)
    return service


def floor(
    name: str,
    store: str,
    directory: Path,
    *,
    server: str = "gunicorn",
    nodes: int = 2,
    also: Sequence[Process] = (),
) -> Service:
    """Bare Falcon over one store call; `store` is a URI, of SQLite with `?synchronous=`."""
    service = Service(name, also)
    env = dict(os.environ) | {"FLOOR_STORE": store, "PYTHONPATH": str(HERE)}
    serve(service, "floor:app", env, directory, server, nodes)
    return service


def serve(
    service: Service,
    app: str,
    env: dict[str, str],
    directory: Path,
    server: str,
    nodes: int,
    programs: Path = BIN,
) -> None:
    """Add nodes that serve the WSGI application `app`, by the server that is in `programs`."""
    for index in range(nodes):
        port = free_port()
        if server == "granian":
            options = (*GRANIAN, f"--port={port}", "--host=127.0.0.1")
        else:
            options = (*GUNICORN, f"--bind=127.0.0.1:{port}")
        log = directory / f"{service.name.replace(' ', '-')}-{index}.log"
        try:
            service.add([str(programs / server), *options, app], port, log, env)
        except Failed:
            service.stop()
            raise
