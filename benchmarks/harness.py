"""Services under the same load in turns, and what came out: rates, CPU time, ratios, targets.

A turn is the same workload on each side, A B, then B A, and so on. Rates of a turn are compared with the
reference's of the same turn, and the median of these ratios is the result.
"""

from __future__ import annotations

import argparse
import platform
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from figures import Figure, write
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn
from rich.table import Table
from services import Failed, Service

from queueing.bench.control import Unusable
from queueing.bench.plan import Plan, Preparation
from queueing.bench.run import Result, Run

LARGEST_CLAIM = (
    500  # of both sides: a pile of claimed messages is made by few claims, however slow they are
)
MARGIN = 1.6  # of messages laid out for a turn over what the last one took


@dataclass(frozen=True)
class Workload:
    """`operation` is whose rate counts, of the operations of `queueing bench`; each moves `messages`."""

    name: str
    operation: str
    messages: int
    clients: dict[str, int]
    options: dict[str, Any] = field(default_factory=dict)
    claimed: int = 0  # messages that are claimed all the while
    takes: int = 0  # free messages that an operation uses up; they are laid out before each turn


def post(clients: int, batch: int = 1) -> Workload:
    name = f"post of {batch}"
    return Workload(name, "post", batch, {"producers": clients}, {"batch": batch})


def cycle(clients: int, batch: int) -> Workload:
    finish = "bulk" if batch > 1 else "each"
    options = {"batch": batch, "claim": batch, "finish": finish}
    return Workload(f"cycle of {batch}", "cycle", batch, {"cyclers": clients}, options)


def claim(clients: int, claimed: int = 0) -> Workload:
    name = f"claim of 10, {claimed:,} claimed" if claimed else "claim of 10"
    options = {"claim": 10, "finish": "keep", "claim_ttl": 43200}
    return Workload(name, "claim", 10, {"workers": clients}, options, claimed, takes=10)


def delete(clients: int) -> Workload:
    return Workload("delete", "delete", 1, {"workers": clients}, {"claim": 20}, takes=1)


@dataclass
class Measured:
    """One side of a workload, turn by turn."""

    rates: list[float] = field(default_factory=list)  # operations a second
    cpu: list[float] = field(default_factory=list)  # seconds for 1,000 messages, of all processes
    store: list[float] = field(default_factory=list)  # of these, the store's server
    p99: list[float] = field(default_factory=list)  # milliseconds
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    bottleneck: bool = False

    def by_message(self, messages: int) -> Measured:
        """With rates of messages, of which an operation moves so many."""
        return replace(self, rates=[rate * messages for rate in self.rates])


@dataclass
class Comparison:
    """`target`: what the ratio must reach; with `of_cpu`, what the ratio of CPU times may reach at most."""

    workload: str
    side: str
    reference: str
    rate: float
    reference_rate: float
    cpu: float
    reference_cpu: float
    store: float
    reference_store: float
    ratio: float
    cpu_ratio: float
    p99: float
    target: float | None
    of_cpu: bool
    remark: str = ""

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        ratio = round(self.cpu_ratio if self.of_cpu else self.ratio, 2)
        return ratio <= self.target if self.of_cpu else ratio >= self.target

    @property
    def verdict(self) -> str:
        return {None: "", True: "met", False: "missed"}[self.met]

    @property
    def aim(self) -> str:
        if self.target is None:
            return "–"
        return f"CPU ≤ {self.target:g}" if self.of_cpu else f"≥ {self.target:g}"


class Match:
    """One workload on several services, the first of which is the reference."""

    def __init__(self, workload: Workload, services: Sequence[Service], seconds: float) -> None:
        self.workload = workload
        self.services = services
        self.measured = [Measured() for _ in services]
        self._seconds = seconds
        self._runs: list[Run] = []
        self._free = [0] * len(services)
        self._wanted = [2000] * len(services)
        self._stack = ExitStack()

    def __enter__(self) -> Match:
        for service in self.services:
            plan = Plan(
                target=service.targets[0],
                queues=(f"bench-{self.workload.name.split()[0]}",),
                largest_claim=service.largest_claim,
                **self.workload.clients,
                **self.workload.options,
            )
            preparation = Preparation(claimed=self.workload.claimed)
            run = Run(
                plan,
                preparation,
                processes=max(2, len(service.targets)),
                nodes=service.targets,
                keep_queues=bool(
                    self.workload.claimed
                ),  # to delete it can take some servers minutes
                dialect=service.dialect,
            )
            self._runs.append(self._stack.enter_context(run))
            run.prepare()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def warm_up(self) -> None:
        for index in range(len(self.services)):
            self._load(index, min(self._seconds, 1.0))

    def turn(self, number: int) -> None:
        order = range(len(self.services))
        for index in order if number % 2 == 0 else reversed(order):
            result, spent = self._load(index, self._seconds)
            measured, times = self.measured[index], result.record.times[self.workload.operation]
            messages = times.count * self.workload.messages
            measured.rates.append(times.count / result.record.seconds)
            measured.cpu.append(spent[0] * 1000 / max(messages, 1))
            measured.store.append(spent[1] * 1000 / max(messages, 1))
            measured.p99.append(times.percentile(0.99) / 1e6)
            measured.errors += result.record.errors
            measured.bottleneck |= result.bottleneck

    def _load(self, index: int, seconds: float) -> tuple[Result, tuple[float, float]]:
        """A turn of one side, in which it never ran out of messages; the CPU seconds of all, and of its store."""
        run, service = self._runs[index], self.services[index]
        while True:
            missing = self._wanted[index] - self._free[index]
            if self.workload.takes and missing > 0:
                run.fill(missing)
                self._free[index] += missing
            before, store = service.cpu_seconds(), service.store_cpu_seconds()
            result = run.load(seconds=seconds)
            spent = service.cpu_seconds() - before, service.store_cpu_seconds() - store
            if not self.workload.takes:
                return result, spent
            taken = result.record.delivered
            self._free[index] -= taken
            empty = result.record.times.get("claim, empty")
            if empty is None or not empty.count:
                self._wanted[index] = max(2000, int(taken * self._seconds / seconds * MARGIN))
                return result, spent
            self._wanted[index] *= 3


Targets = Callable[[Workload, Service], tuple[float | None, bool]]
"""What a side's ratio must reach, if anything, and whether it is the ratio of CPU times."""


def compare(
    workloads: Sequence[Workload],
    services: Sequence[Service],
    options: argparse.Namespace,
    targets: Targets,
    progress: Progress,
) -> list[Comparison]:
    """All workloads on all services, in turns; the first service is the reference."""
    found: list[Comparison] = []
    for workload in workloads:
        title = f"{workload.name}: {', '.join(service.name for service in services)}"
        task = progress.add_task(title, total=options.turns)
        with Match(workload, services, options.seconds) as match:
            match.warm_up()
            for number in range(options.turns):
                match.turn(number)
                progress.advance(task)
        reference, name = match.measured[0], services[0].name
        for service, side in list(zip(services, match.measured, strict=True))[1:]:
            found.append(
                comparison(
                    workload.name,
                    (service.name, side),
                    (name, reference),
                    targets(workload, service),
                )
            )
    return found


def comparison(
    workload: str,
    one: tuple[str, Measured],
    other: tuple[str, Measured],
    target: tuple[float | None, bool],
) -> Comparison:
    """Of two sides, each with its name; the other is the reference."""
    (name, side), (reference_name, reference) = one, other
    remarks = [
        f"{who}: {number} × {operation}: {reason}"
        for who, measured in (one, other)
        for (operation, reason), number in measured.errors.items()
    ]
    if side.bottleneck:
        remarks.append("load generator busy")
    return Comparison(
        workload=workload,
        side=name,
        reference=reference_name,
        rate=median(side.rates),
        reference_rate=median(reference.rates),
        cpu=median(side.cpu),
        reference_cpu=median(reference.cpu),
        store=median(side.store),
        reference_store=median(reference.store),
        ratio=_ratio(side.rates, reference.rates),
        cpu_ratio=_ratio(side.cpu, reference.cpu),
        p99=median(side.p99),
        target=target[0],
        of_cpu=target[1],
        remark=", ".join(remarks),
    )


def _ratio(side: list[float], reference: list[float]) -> float:
    return median(a / b if b else 0.0 for a, b in zip(side, reference, strict=True))


HEADINGS = (
    "Workload",
    "Side",
    "per s",
    "reference",
    "per s",
    "ratio",
    "target",
    "",
    "CPU s / 1,000 msg (store)",
    "reference",
    "p99 ms",
)


def _cells(row: Comparison) -> tuple[str, ...]:
    return (
        row.workload,
        row.side,
        f"{row.rate:,.0f}",
        row.reference,
        f"{row.reference_rate:,.0f}",
        f"{row.ratio:.2f}",
        row.aim,
        row.verdict,
        _cpu(row.cpu, row.store),
        _cpu(row.reference_cpu, row.reference_store),
        f"{row.p99:.1f}",
    )


def _cpu(all_of_it: float, store: float) -> str:
    return f"{all_of_it:.3f} ({store:.3f})" if store else f"{all_of_it:.3f}"


def show(console: Console, rows: Sequence[Comparison]) -> None:
    table = Table(box=None, pad_edge=False)
    for place, heading in enumerate(HEADINGS):
        justify = "left" if place in (0, 1, 3, 7) else "right"
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]  # one of its literals
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)
    for row in rows:
        if row.remark:
            console.print(f"{row.workload}, {row.side}: {row.remark}")


def markdown(rows: Sequence[Comparison]) -> str:
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def figures_of(rows: Sequence[Comparison]) -> list[Figure]:
    """The ratios."""
    return [
        Figure(
            f"{row.workload}: {row.side} / {row.reference}",
            row.cpu_ratio if row.of_cpu else row.ratio,
            row.target,
            most=row.of_cpu,
        )
        for row in rows
    ]


def parser(description: str | None, *, turns: int = 5, seconds: float = 3.0) -> Any:
    """The options that all comparisons have."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--turns", type=int, default=turns, help="of each side (%(default)s)")
    made.add_argument(
        "--seconds", type=float, default=seconds, metavar="S", help="of a turn (%(default)s)"
    )
    made.add_argument(
        "--only", metavar="NAMES", help="workloads, with commas, by a part of their names"
    )
    made.add_argument("--quick", action="store_true", help="a turn of 0.3 s: does it run?")
    made.add_argument("--json", metavar="FILE", help="write the figures, - for stdout")
    made.add_argument("--plot", metavar="FILE", help="write an SVG")
    made.add_argument(
        "--markdown", action="store_true", help="print the table as documents have it"
    )
    return made


def chosen(made: Any, options: Any, *workloads: Workload) -> list[Workload]:
    """Those that `--only` names; ends the program if a name is none, or nothing would be measured."""
    if options.only is None:
        return list(workloads)
    parts = options.only.split(",")
    for part in parts:
        if not any(part in workload.name for workload in workloads):
            names = ", ".join(workload.name for workload in workloads)
            made.error(f"--only: expected parts of {names}; got {part!r}")
    return [workload for workload in workloads if any(part in workload.name for part in parts)]


def main(
    name: str,
    title: str,
    options: argparse.Namespace,
    carry_out: Callable[[Path, Progress], list[Comparison]],
) -> int:
    """Carry out a comparison in a directory of its own, show and write what came out.

    :returns: exit code: 0, or 1 when a target was missed or a server did not start; `--quick` gives no verdict
    """
    if options.quick:
        options.turns, options.seconds = 1, 0.3
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops the servers, as Ctrl-C does
    console = Console(stderr=options.json == "-", width=None if sys.stdout.isatty() else 160)
    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    try:
        with (
            TemporaryDirectory(prefix=f"{name}-") as directory,
            Progress(*columns, console=Console(stderr=True), transient=True) as progress,
        ):
            rows = carry_out(Path(directory), progress)
    except (Failed, Unusable) as error:
        console.print(f"{name}: {error}", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    if options.markdown:
        print(markdown(rows), end="")
    else:
        show(console, rows)
    document = {
        "benchmark": name,
        "python": platform.python_version(),
        "turns": options.turns,
        "seconds": options.seconds,
        "quick": options.quick,
        "rows": [
            {key: round(value, 4) if isinstance(value, float) else value for key, value in vars(row).items()}
            | {"met": row.met}
            for row in rows
        ],
    }  # fmt: skip
    write(document, figures_of(rows), title, options.json, options.plot)
    if options.quick:
        return 0
    missed = sum(row.met is False for row in rows)
    console.print("All targets met." if not missed else f"{missed} targets missed.")
    return 1 if missed else 0
