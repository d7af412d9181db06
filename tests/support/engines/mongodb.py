"""A server that speaks MongoDB's wire protocol, for tests: mongo-java-server, in memory or on disk.

It is atomic, has no sessions, no transactions, no `explain`, and goes on after an error within a
command. It would scan for whatever names more than an `_id`; `mongo/ById.java` and, in memory,
`mongo/Sorted.java` spare it that. On disk it scans for what names no `_id`. Its jars come from Maven
once, into `.cache` of the checkout. `QUEUEING_TEST_MONGODB_URI` names a real server instead. Each
test has a database of its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.freezing import freeze, thaw
from tests.support.stores import Engine, Place

PATIENCE_SECONDS = 60.0
GIVEN = "QUEUEING_TEST_MONGODB_URI"

SOURCE = Path(__file__).parent / "mongo"
CACHE = Path(__file__).parents[3] / ".cache" / "engines"

FLAGS = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx2g"]


def server(place: Place) -> str:
    uri = os.environ.get(GIVEN) or place.engine("mongodb", start_server, shared=True)
    return in_database(uri, hashlib.sha256(str(place.directory).encode()).hexdigest()[:16])


def in_database(uri: str, name: str) -> str:
    """The URI with a database that nobody else has: tests that share a server do not meet."""
    uri, question, options = uri.partition("?")
    return f"{uri.rstrip('/')}/test-{name}{question}{options}"


def start_server(home: Path) -> Engine:
    process = Process(home).start()
    return Engine(process.uri, [process.pid])


@dataclass
class Process:
    """One server. `start` may be called again after `stop`: on the same port, and on the same data."""

    home: Path
    on_disk: bool = False
    replica_set: str = ""  # acts as the primary of a set of this name, once it is initiated
    port: int = 0
    pid: int = 0

    def start(self) -> Process:
        self.home.mkdir(parents=True, exist_ok=True)
        port_file = self.home / "port"
        port_file.unlink(missing_ok=True)
        command = [program("java"), *FLAGS, "-cp", classes()]
        if self.replica_set:
            command.append(f"-DreplSet={self.replica_set}")
        command += ["Launcher", str(port_file), str(self.port)]
        if self.on_disk:
            command.append(str(self.home / "data.h2"))
        # By way of a shell that ends: the server is nobody's child, whoever of the test processes
        # started it, and is stopped by its process id.
        started = subprocess.run(
            ["/bin/sh", "-c", '"$@" >>"$0" 2>&1 & echo $!', str(self.home / "log"), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            start_new_session=True,
        )
        self.pid = int(started.stdout)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not port_file.exists():
            assert not has_ended(self.pid), (self.home / "log").read_text()
            assert time.monotonic() < deadline, "waited in vain for mongo-java-server to start"
            time.sleep(0.02)
        self.port = int(port_file.read_text())
        return self

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}"

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """By SIGTERM, in the midst of whatever it does; then it writes its data and ends."""
        try:
            os.kill(self.pid, how)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not has_ended(self.pid):
            assert time.monotonic() < deadline, f"waited in vain for process {self.pid} to end"
            time.sleep(0.02)

    def freeze(self) -> None:
        """It is there, and does not answer."""
        freeze(self.pid)

    def thaw(self) -> None:
        thaw(self.pid)


@contextmanager
def running(process: Process) -> Iterator[Process]:
    """Start it, stop it in the end."""
    try:
        yield process.start()
    finally:
        if process.pid:
            with suppress(ProcessLookupError):
                process.thaw()
            process.stop()


def has_ended(pid: int) -> bool:
    """Also true of one that lingers until its parent asks for it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def classes() -> str:
    """The class path: jars and the launcher, fetched and compiled by whoever needs them first."""
    sources = [SOURCE / "pom.xml", *sorted(SOURCE.glob("*.java"))]
    version = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    directory = CACHE / f"mongo-{version}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "mongo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as making:
                _make(Path(making) / "made")
                (Path(making) / "made").rename(directory)
    return f"{directory}/*:{directory}"


def _make(directory: Path) -> None:
    fetch = [program("mvn"), "--batch-mode", "--quiet", "--file", str(SOURCE / "pom.xml")]
    run([*fetch, "dependency:copy-dependencies", f"-DoutputDirectory={directory}"])
    compile = [program("javac"), "-cp", f"{directory}/*", "-d", str(directory)]
    run([*compile, *map(str, sorted(SOURCE.glob("*.java")))])


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, (
        f"{name} is not installed: make engines, or apt-get install maven default-jdk-headless"
    )
    return found


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


if __name__ == "__main__":
    print(classes())
