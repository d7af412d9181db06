"""What requests that wait cost the others, and how soon they are answered.

Three questions, each with its targets:

* rates: one process serves posts, claims and deletes beside 0, 400 and 1,000 requests that wait.
  The phases take turns, and the ratio of the rates counts.
* latency: one node is posted to, a claim waits at another node of the same store. How much longer is
  it from before the post to the answer than a post and a claim one after the other take?
* tries: 200 wait in one process, messages come one by one and in tens. How often is the store asked
  for a claim, for each message that is delivered?

    python benchmarks/waiters.py
    python benchmarks/waiters.py --storage redis://localhost/0 --only latency
    python benchmarks/waiters.py --quick --json waiters.json

Without --storage it is a SQLite file in a temporary directory, with `synchronous=normal`.
Exit status: 0 targets met, 1 missed, 130 interrupted. `--quick` gives no verdict.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import re
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from figures import Figure, write
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn
from rich.table import Table

from queueing.config import Settings
from queueing.core.clock import StoreClock
from queueing.core.errors import SetupError, StorageUnavailable
from queueing.core.models import QueueRef
from queueing.service.claims import Claims
from queueing.service.messages import Messages
from queueing.service.settings import KnownSettings
from queueing.service.waiting import Patience, WaitingRoom
from queueing.storage.registry import open_storage

QUESTIONS: Final = ("rates", "latency", "tries")
WAITING: Final = (0, 400, 1000)
QUICK: Final = (0, 40, 100)
CLIENTS: Final = 4  # connections of the other requests
WAIT_SECONDS: Final = 30
LISTENING: Final = re.compile(rb"listens on http://127\.0\.0\.1:(\d+)\s")


class Node:
    """A server of one process, and connections to it."""

    def __init__(self, storage: str, directory: Path, options: dict[str, str]) -> None:
        kept = {name: text for name, text in os.environ.items() if not name.startswith("QUEUEING_")}
        chosen = {"storage": storage, "bind": "127.0.0.1:0", "workers": "1", "access_log": "false"}
        chosen |= {"max_waiters": str(max(WAITING) + 100), **options}
        kept |= {f"QUEUEING_{name.upper()}": value for name, value in chosen.items()}
        log = directory / f"{uuid.uuid4().hex}.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "queueing", "serve"],
                env={**kept, "PYTHONUNBUFFERED": "1"},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while not (found := LISTENING.search(log.read_bytes())):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SetupError(f"no server: {log.read_text(errors='replace')[-300:]}")
            time.sleep(0.05)
        self.port = int(found[1])

    def memory_mebibytes(self) -> float:
        """Of the process that serves: the one that is largest."""
        pages = [_resident_pages(pid) for pid in _family(self._process.pid)]
        return max(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class Connection:
    """Asks and reads answers, one at a time, on one connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, method: str, path: str, body: bytes = b"") -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: b\r\nContent-Length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body)

    def read(self) -> tuple[int, bytes]:
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        head, _, body = answer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        while length and len(body) < int(length[1]):
            body += self._more()
        return int(head[9:12]), body

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        self.send(method, path, body)
        return self.read()

    def _more(self) -> bytes:
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionError("the server closed the connection")
        return part


POST: Final = b'{"messages": [{"body": "' + b"x" * 98 + b'"}]}'


def load(port: int, seconds: float, answer: Any) -> None:
    """Posts, claims and deletes as fast as it goes; sends how many requests were answered."""
    counts = [0] * CLIENTS

    def cycle(number: int) -> None:
        connection = Connection(port)
        queue = f"/v2/queues/others-{number}"
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            connection.ask("POST", f"{queue}/messages", POST)
            _, claim = connection.ask("POST", f"{queue}/claims?limit=1")
            for message in json.loads(claim)["messages"] if claim else []:
                connection.ask("DELETE", message["href"])
            counts[number] += 3

    threads = [threading.Thread(target=cycle, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answer.send(sum(counts))


class Crowd:
    """So many connections with a request that waits; asks again when one was answered."""

    def __init__(self, port: int, size: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._connections = [Connection(port) for _ in range(size)]
        self._over = False
        self.statuses: Counter[int] = Counter()
        for number, connection in enumerate(self._connections):
            self._selector.register(connection.socket, selectors.EVENT_READ, (number, connection))
            self._ask(number, connection)
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def leave(self) -> None:
        self._over = True
        self._thread.join()
        for connection in self._connections:
            connection.socket.close()
        if self.statuses.keys() - {204}:
            raise SetupError(f"those who waited were answered {dict(self.statuses)}")

    def _ask(self, number: int, connection: Connection) -> None:
        connection.send("POST", f"/v2/queues/quiet-{number % 50}/claims?wait={WAIT_SECONDS}")

    def _go_on(self) -> None:
        while not self._over:
            for key, _ in self._selector.select(0.2):
                number, connection = key.data
                status, _ = connection.read()
                self.statuses[status] += 1
                self._ask(number, connection)


def rates(
    node: Node, crowds: tuple[int, ...], turns: int, seconds: float, advance: Any
) -> list[Figure]:
    context = multiprocessing.get_context("spawn")
    found: defaultdict[int, list[float]] = defaultdict(list)
    memory: dict[int, float] = {}
    for turn in range(turns):
        for waiting in crowds if turn % 2 == 0 else reversed(crowds):
            crowd = Crowd(node.port, waiting)
            time.sleep(1 + waiting / 500)  # until all of them wait
            memory.setdefault(waiting, node.memory_mebibytes())
            ours, theirs = context.Pipe(duplex=False)
            client = context.Process(target=load, args=(node.port, seconds, theirs))
            client.start()
            found[waiting].append(ours.recv() / seconds)
            client.join()
            crowd.leave()
            time.sleep(0.5)
            advance(1)
    alone = statistics.median(found[0])
    figures = [Figure("other requests beside 0", alone, unit="per s")]
    for waiting in crowds[1:]:
        ratios = [rate / base for rate, base in zip(found[waiting], found[0], strict=True)]
        what = f"other requests beside {waiting:,}, against beside 0"
        figures.append(Figure(what, statistics.median(ratios), 0.7))
    for waiting, mebibytes in sorted(memory.items()):
        figures.append(Figure(f"memory beside {waiting:,}", mebibytes, unit="MiB"))
    return figures


def latency(nodes: list[Node], count: int, most: float, advance: Any) -> list[Figure]:
    poster, waiter = Connection(nodes[0].port), Connection(nodes[1].port)
    queue = f"/v2/queues/latency-{uuid.uuid4().hex}"
    waited, plain = [], []
    for _ in range(count):
        waiter.send("POST", f"{queue}/claims?wait={WAIT_SECONDS}&limit=1")
        time.sleep(0.02)  # by then it waits, most likely; if not, it is no worse
        started = time.perf_counter()
        poster.ask("POST", f"{queue}/messages", POST)
        status, _ = waiter.read()
        waited.append(time.perf_counter() - started)
        assert status == 201, status
        started = time.perf_counter()
        poster.ask("POST", f"{queue}/messages", POST)
        status, _ = waiter.ask("POST", f"{queue}/claims?limit=1")
        plain.append(time.perf_counter() - started)
        assert status == 201, status
        advance(1)
    figures = []
    for name, at in (("p50", 0.5), ("p99", 0.99)):
        more = _quantile(waited, at) - _quantile(plain, at)
        target = most if name == "p99" else None
        figures.append(
            Figure(f"{name} above a post and a claim", more * 1000, target, most=True, unit="ms")
        )
    figures.append(Figure("p50 of a post and a claim", _quantile(plain, 0.5) * 1000, unit="ms"))
    return figures


class CountingRoom(WaitingRoom):
    tries = 0

    def wait(self, queue: QueueRef, attempt: Any, patience: Patience | None, *, wants: int) -> Any:
        def counted() -> Any:
            self.tries += 1
            return attempt()

        return super().wait(queue, counted, patience, wants=wants)


@dataclass
class Draft:
    """A message as a client posts it."""

    body: bytes
    ttl: int | None = None
    delay: int | None = None


def tries(uri: str, rounds: int, advance: Any) -> list[Figure]:
    """200 workers that claim one message at a time and wait again."""
    storage = open_storage(uri)
    clock, settings = StoreClock(storage.time), Settings()
    room = CountingRoom(storage, clock, max_waiters=200)
    known = KnownSettings(storage, settings)
    messages = Messages(storage, clock, settings, known, room)
    claims = Claims(storage, clock, settings, known, room)
    queue = QueueRef("benchmark", f"tries-{uuid.uuid4().hex}")
    delivered: list[bytes] = []

    def work() -> None:
        while not room.is_stopped:
            patience = Patience(WAIT_SECONDS)
            claim = claims.create(queue, ttl=60, grace=60, limit=1, patience=patience)
            if claim:
                delivered.extend(message.body for message in claim.messages)

    workers = [threading.Thread(target=work) for _ in range(200)]
    for worker in workers:
        worker.start()
    while room.count < 200:
        time.sleep(0.01)
    room.tries = 0
    posted = 0
    for round_ in range(rounds):
        number = 10 if round_ % 2 else 1
        messages.post(queue, [Draft(b"1")] * number, body=b"", client_id="")
        posted += number
        time.sleep(0.002)
        advance(1)
    while len(delivered) < posted:
        time.sleep(0.01)
    asked = room.tries
    room.close()
    for worker in workers:
        worker.join()
    storage.close()
    return [Figure("claims tried for each message, 200 waiting", asked / posted, 1.5, most=True)]


def _quantile(values: list[float], at: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(at * len(ordered)))]


def _family(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [pid, *(int(child) for child in text.split())]


def _resident_pages(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])


@contextmanager
def running(storage: str, directory: Path, count: int, options: dict[str, str]) -> Iterator[Any]:
    nodes: list[Node] = []
    try:
        for _ in range(count):
            nodes.append(Node(storage, directory, options))
        yield nodes
    finally:
        for node in nodes:
            node.stop()


def show(console: Console, figures: list[Figure]) -> None:
    table = Table()
    for heading in ("", "figure", "", "target", "met"):
        table.add_column(heading, justify="right" if heading == "figure" else "left")
    for figure in figures:
        met = "" if figure.met is None else ("yes" if figure.met else "NO")
        table.add_row(figure.name, f"{figure.value:,.2f}", figure.unit, figure.aim, met)
    console.print(table)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--storage", metavar="URI", help="the store")
    parser.add_argument("--only", metavar="NAMES", help=f"with commas: {','.join(QUESTIONS)}")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the servers"
    )
    parser.add_argument("--turns", type=int, default=5, help="of each phase (%(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of a phase (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="small numbers, no verdict")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE, - for stdout")
    parser.add_argument("--plot", metavar="FILE", help="write an SVG")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",") if options.only else list(QUESTIONS)
    if unknown := set(options.only) - set(QUESTIONS):
        expected = f"expected some of {','.join(QUESTIONS)}, got {','.join(sorted(unknown))}"
        parser.error(f"--only: {expected}")
    if wrong := [text for text in options.set if "=" not in text]:
        parser.error(f"--set: expected NAME=VALUE, got {wrong[0]}")
    options.set = dict(text.split("=", 1) for text in options.set)
    if options.quick:
        options.turns, options.seconds = 1, 0.5
    return options


def measure(options: argparse.Namespace, directory: Path, console: Console) -> list[Figure]:
    uri = options.storage or f"sqlite:///{directory}/waiters.db?synchronous=normal"
    count, rounds = (20, 20) if options.quick else (300, 400)
    most = 100.0 if uri.startswith("mongodb") else 20.0
    crowds = QUICK if options.quick else WAITING
    figures: list[Figure] = []
    with Progress(
        *Progress.get_default_columns(), TimeElapsedColumn(), console=console, transient=True
    ) as progress:
        for question in options.only:
            total = {"rates": options.turns * len(crowds), "latency": count, "tries": rounds}
            task = progress.add_task(question, total=total[question])

            def advance(number: int, task: Any = task) -> None:
                progress.advance(task, number)

            if question == "rates":
                with running(uri, directory, 1, options.set) as nodes:
                    figures += rates(nodes[0], crowds, options.turns, options.seconds, advance)
            elif question == "latency":
                with running(uri, directory, 2, options.set) as nodes:
                    figures += latency(nodes, count, most, advance)
            else:
                figures += tries(uri, rounds, advance)
    return figures


def main() -> int:
    options = parse()
    console = Console(stderr=options.json == "-")
    try:
        with tempfile.TemporaryDirectory(prefix="waiters-") as directory:
            figures = measure(options, Path(directory), console)
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    except (SetupError, StorageUnavailable) as error:
        console.print(f"waiters: {error}")
        return 1
    show(console, figures)
    document = {
        "benchmark": "waiters",
        "python": platform.python_version(),
        "quick": options.quick,
        "storage": options.storage or "sqlite",
        "set": options.set,
    }
    title = "What requests that wait cost, and how soon they are answered"
    write(document, figures, title, options.json, options.plot)
    missed = [figure for figure in figures if figure.met is False]
    if options.quick:
        return 0
    console.print("All targets met." if not missed else f"{len(missed)} targets missed.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
