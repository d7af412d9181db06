"""Does an operation cost the same however much is in the store? It should: nothing scans.

Two stores that differ in one thing (10³ or 10⁶ messages in the queue; 0 or 10⁵ of them claimed,
delayed or expired; 1 or 10⁵ queues) get the same operations in turn, through the storage contract,
and the medians are compared. Ratios count, not times: both sides meet the same noise.

    python benchmarks/flat.py
    python benchmarks/flat.py --only depth --turns 2000
    python benchmarks/flat.py --storage redis://localhost/0 --beside redis://localhost/1
    python benchmarks/flat.py --quick --json flat.json

Without --storage each side is a SQLite file of its own in a temporary directory, with
`synchronous=normal`: waiting for the disk, the same for both, would hide any difference.
Exit status: 0 targets met, 1 missed, 130 interrupted. `--quick` gives no verdict.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from figures import Figure, write
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn
from rich.table import Table

from queueing.core.errors import SetupError, StorageUnavailable
from queueing.core.models import ClaimTerms, Draft, Message, QueueRef, request_token
from queueing.storage.contract import Storage
from queueing.storage.registry import open_storage

BODY: Final = b'"' + b"x" * 98 + b'"'
TTL: Final = 86_400
BATCH: Final = 500
FEW: Final = 1000
"""Free messages that are there in every situation but that of depth."""

Advance = Callable[[int], None]
"""Told how much more has been done."""

QUIET: Final[Advance] = lambda _: None  # noqa: E731


@dataclass
class Side:
    """One store with the queue that is measured."""

    storage: Storage
    queue: QueueRef
    costs: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    ids: list[str] = field(default_factory=list)  # of free messages that stay

    def post(self, count: int, *, ago: float = 0, ttl: int = TTL, delay: int = 0) -> list[str]:
        """Post so many messages, as if it were so many seconds ago."""
        posted = self.storage.messages.post(
            self.queue,
            [Draft(BODY, ttl, delay)] * count,
            client_id="flat",
            token=request_token(),
            version="",
            now=time.time() - ago,
        )
        return list(posted.ids)

    def claim(self, limit: int = 10, ttl: int = 300) -> tuple[str, tuple[Message, ...]]:
        claim = self.storage.claims.claim(
            self.queue,
            ClaimTerms(ttl, 60, limit),
            token=request_token(),
            version="",
            now=time.time(),
        ).claim
        assert claim is not None and len(claim.messages) == limit
        return claim.id, claim.messages

    def fill(self, count: int, advance: Advance, **how: Any) -> None:
        for start in range(0, count, BATCH):
            number = min(BATCH, count - start)
            posted = self.post(number, **how)
            if not how:
                self.ids += posted
            advance(number)

    @contextmanager
    def timed(self, operation: str) -> Iterator[None]:
        started = time.perf_counter_ns()
        yield
        self.costs[operation].append((time.perf_counter_ns() - started) / 1000)

    def turn(self) -> None:
        """Every operation once; afterwards as much is there as before."""
        messages, claims = self.storage.messages, self.storage.claims
        with self.timed("post 1"):
            (posted,) = self.post(1)
        with self.timed("get"):
            found = messages.get(self.queue, [posted], now=time.time())
        assert found
        with self.timed("claim 10"):
            claim_id, claimed = self.claim()
        with self.timed("delete"):
            messages.delete(self.queue, claimed[0].id, claim_id=claim_id, now=time.time())
        claims.release(self.queue, claim_id, now=time.time())
        with self.timed("list 10"):
            page = messages.page(
                self.queue,
                after=0,
                limit=10,
                hide_client=None,
                include_claimed=False,
                include_delayed=False,
                now=time.time(),
            )
        assert len(page) == 10
        with self.timed("stats"):
            messages.stats(self.queue, now=time.time())
        self.get_any()

    def get_any(self) -> None:
        """Get one from anywhere in the queue: its page is in no cache of ours."""
        id = random.choice(self.ids)
        with self.timed("get any"):
            self.storage.messages.get(self.queue, [id], now=time.time())


def deep(side: Side, size: int, advance: Advance) -> None:
    side.fill(size, advance)


def claimed(side: Side, size: int, advance: Advance) -> None:
    side.fill(size, QUIET, ago=60)
    for _ in range(0, size, 10):
        side.claim(ttl=43_200)
        advance(10)
    side.fill(FEW, QUIET)


def delayed(side: Side, size: int, advance: Advance) -> None:
    side.fill(size, advance, ago=60, delay=43_200)
    side.fill(FEW, QUIET)


def expired(side: Side, size: int, advance: Advance) -> None:
    side.fill(size, advance, ago=3600, ttl=60)
    side.fill(FEW, QUIET)


def many_queues(side: Side, size: int, advance: Advance) -> None:
    for number in range(size - 1):
        queue = side.queue._replace(name=f"other-{number}")
        Side(side.storage, queue).post(1)
        advance(1)
    side.fill(FEW, QUIET)


@dataclass(frozen=True)
class Situation:
    name: str
    prepare: Callable[[Side, int, Advance], None]
    small: int
    large: int
    target: float  # the most that `large` may cost, as a multiple of `small`

    def quick(self) -> Situation:
        small, large = (min(size, 10 ** (3 + (size > 1000))) for size in (self.small, self.large))
        return Situation(self.name, self.prepare, small, large, self.target)


SITUATIONS: Final = [
    Situation("depth", deep, 1_000, 1_000_000, 1.1),
    Situation("claimed", claimed, 0, 100_000, 1.2),
    Situation("delayed", delayed, 0, 100_000, 1.2),
    Situation("expired", expired, 0, 100_000, 1.2),
    Situation("queues", many_queues, 1, 100_000, 1.1),
]

INFORMATIVE: Final = {"get any"}
"""Measured, without a target: how much of a store is in memory decides about these."""


@dataclass(frozen=True)
class Row:
    situation: str
    operation: str
    small_us: float
    large_us: float
    slowest_us: float  # of the large side: what a step costs that finds a backlog to sweep
    target: float | None

    @property
    def ratio(self) -> float:
        return self.large_us / self.small_us

    @property
    def met(self) -> bool:
        return self.target is None or round(self.ratio, 2) <= self.target


@dataclass(frozen=True)
class Memory:
    messages: int
    peak_mebibytes: float


class Bench:
    """Runs situations; `uris` are the stores of the two sides, empty: temporary SQLite files."""

    def __init__(self, uris: list[str], turns: int, progress: Progress) -> None:
        self._uris = uris
        self._turns = turns
        self._progress = progress

    def run(self, situation: Situation) -> tuple[list[Row], list[Memory]]:
        sizes = (situation.small, situation.large)
        with self._stores(situation) as (uris, queues):
            sides = [
                self._prepared(uri, queue, situation, size)
                for uri, queue, size in zip(uris, queues, sizes, strict=True)
            ]
            try:
                self._take_turns(situation.name, sides)
            finally:
                for side in sides:
                    side.storage.close()
            memory = []
            if situation.prepare is deep:
                memory = [
                    Memory(size, peak_mebibytes(uri, queue))
                    for uri, queue, size in zip(uris, queues, sizes, strict=True)
                ]
        return self._rows(situation, *sides), memory

    def _prepared(self, uri: str, queue: QueueRef, situation: Situation, size: int) -> Side:
        side = Side(open_storage(uri), queue)
        task = self._progress.add_task(f"{situation.name}: fill {size:,}", total=size)
        situation.prepare(side, size, lambda done: self._progress.advance(task, done))
        self._progress.remove_task(task)
        return side

    def _take_turns(self, name: str, sides: list[Side]) -> None:
        for side in sides:
            side.turn()  # statements are compiled, files are open
            side.costs.clear()
        for turn in self._progress.track(range(self._turns), description=f"{name}: measure"):
            for side in sides if turn % 2 else reversed(sides):
                side.turn()

    def _rows(self, situation: Situation, small: Side, large: Side) -> list[Row]:
        return [
            Row(
                situation.name,
                operation,
                statistics.median(costs),
                statistics.median(large.costs[operation]),
                max(large.costs[operation]),
                None if operation in INFORMATIVE else situation.target,
            )
            for operation, costs in small.costs.items()
        ]

    @contextmanager
    def _stores(self, situation: Situation) -> Iterator[tuple[list[str], list[QueueRef]]]:
        """URIs and queues of both sides; what was put there is removed at the end."""
        queues = [QueueRef(f"flat-{request_token()}-{side}", "demo") for side in ("a", "b")]
        if not self._uris:
            with tempfile.TemporaryDirectory(prefix="flat-") as directory:
                files = [Path(directory, f"{side}.db") for side in ("small", "large")]
                yield [f"sqlite:///{file}?synchronous=normal" for file in files], queues
            return
        uris = [self._uris[0], self._uris[-1]]
        try:
            yield uris, queues
        finally:
            for uri, queue in zip(uris, queues, strict=True):
                remove_project(uri, queue.project)


def remove_project(uri: str, project: str) -> None:
    with closing(open_storage(uri)) as storage:
        while page := storage.queues.page(project, after="", limit=100):
            for entry in page:
                storage.queues.delete(QueueRef(project, entry.name), now=time.time())


def peak_mebibytes(uri: str, queue: QueueRef) -> float:
    """The most memory that a process has needed which opens the store and takes some turns."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_report_peak, args=(uri, queue, sender))
    process.start()
    sender.close()
    peak: float = receiver.recv()
    process.join()
    return peak


def _report_peak(uri: str, queue: QueueRef, sender: Any) -> None:
    with closing(open_storage(uri)) as storage:
        side = Side(storage, queue)
        side.ids = side.post(10)
        for _ in range(200):
            side.turn()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    sender.send(int(line.split()[1]) / 1024)


def show(
    console: Console, rows: list[Row], memory: list[Memory], situations: list[Situation]
) -> None:
    table = Table(title="Cost of one operation, medians in µs")
    table.add_column("situation")
    table.add_column("operation")
    for column in ("small", "large", "ratio", "target", "slowest, large"):
        table.add_column(column, justify="right")
    table.add_column("met?")
    for situation in situations:
        for row in (row for row in rows if row.situation == situation.name):
            table.add_row(
                f"{row.situation} {situation.small:,} : {situation.large:,}",
                row.operation,
                f"{row.small_us:.1f}",
                f"{row.large_us:.1f}",
                f"{row.ratio:.2f}",
                f"{row.target:.1f}" if row.target else "",
                f"{row.slowest_us:,.0f}",
                ("yes" if row.met else "NO") if row.target else "",
            )
        table.add_section()
    console.print(table)
    for reading in memory:
        console.print(
            f"Peak memory of a process beside {reading.messages:,} messages: "
            f"{reading.peak_mebibytes:.1f} MiB"
        )


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    names = [situation.name for situation in SITUATIONS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--storage", metavar="URI", help="store of the small side")
    parser.add_argument("--beside", metavar="URI", help="store of the large side, if another")
    parser.add_argument(
        "--only", metavar="NAMES", help=f"situations, with commas: {','.join(names)}"
    )
    parser.add_argument("--turns", type=int, default=1000, help="of each side (%(default)s)")
    parser.add_argument(
        "--quick", action="store_true", help="small numbers, 50 turns, no verdict: does it run?"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE, - for stdout")
    parser.add_argument("--plot", metavar="FILE", help="write an SVG")
    options = parser.parse_args(arguments)
    if options.beside and not options.storage:
        parser.error("--beside: needs --storage")
    options.only = options.only.split(",") if options.only else names
    if unknown := set(options.only) - set(names):
        parser.error(f"--only: expected some of {','.join(names)}, got {','.join(sorted(unknown))}")
    if options.turns < 1:
        parser.error(f"--turns: expected at least 1, got {options.turns}")
    return options


def document(
    options: argparse.Namespace, rows: list[Row], memory: list[Memory], engine: str
) -> dict[str, Any]:
    return {
        "benchmark": "flat",
        "engine": engine,
        "python": platform.python_version(),
        "turns": options.turns,
        "quick": options.quick,
        "rows": [
            {
                "situation": row.situation,
                "operation": row.operation,
                "small_us": round(row.small_us, 2),
                "large_us": round(row.large_us, 2),
                "slowest_large_us": round(row.slowest_us, 2),
                "ratio": round(row.ratio, 3),
                "target": row.target,
                "met": None if row.target is None else row.met,
            }
            for row in rows
        ],
        "memory": [
            {"messages": reading.messages, "peak_mebibytes": round(reading.peak_mebibytes, 1)}
            for reading in memory
        ],
    }


def engine_of(uris: list[str]) -> str:
    with tempfile.TemporaryDirectory(prefix="flat-") as directory:
        uri = uris[0] if uris else f"sqlite:///{directory}/engine.db?synchronous=normal"
        with closing(open_storage(uri)) as storage:
            return str(storage.durability()["engine"])


def main() -> int:
    options = parse()
    if options.quick:
        options.turns = min(options.turns, 50)
    situations = [
        situation.quick() if options.quick else situation
        for situation in SITUATIONS
        if situation.name in options.only
    ]
    console = Console(stderr=options.json == "-")
    uris = [uri for uri in (options.storage, options.beside) if uri]
    rows: list[Row] = []
    memory: list[Memory] = []
    try:
        engine = engine_of(uris)
        with Progress(
            *Progress.get_default_columns(), TimeElapsedColumn(), console=console, transient=True
        ) as progress:
            bench = Bench(uris, options.turns, progress)
            for situation in situations:
                more_rows, more_memory = bench.run(situation)
                rows += more_rows
                memory += more_memory
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    except (SetupError, StorageUnavailable) as error:
        console.print(f"flat: {error}")
        return 1
    console.print(engine)
    show(console, rows, memory, situations)
    figures = [
        Figure(f"{row.situation}: {row.operation}", row.ratio, row.target, most=True)
        for row in rows
    ]
    title = f"Cost in a large store over that in a small one, {engine}"
    write(document(options, rows, memory, engine), figures, title, options.json, options.plot)
    if options.quick:
        return 0
    missed = [row for row in rows if not row.met]
    console.print("All targets met." if not missed else f"{len(missed)} targets missed.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
