"""How `queueing bench` shows what happens and what came out: a bar, a table, and a few lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from queueing.bench.plan import Plan
from queueing.bench.report import rows
from queueing.bench.run import Progress, Result


@contextmanager
def progress_bar() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal; nothing elsewhere."""
    columns = (
        TextColumn("{task.description:>8}"),
        BarColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Bar(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        tasks: dict[str, Any] = {}

        def advance(progress: Progress) -> None:
            counts = f"{progress.posted:,} posted, {progress.delivered:,} delivered"
            if progress.errors:
                counts += f", {progress.errors:,} errors"
            if progress.phase not in tasks:
                tasks[progress.phase] = bar.add_task(progress.phase, total=None, counts="")
            bar.update(
                tasks[progress.phase],
                completed=progress.done,
                total=progress.total,
                counts=counts,
            )

        yield advance


def show(console: Console, result: Result, plan: Plan) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("operation", no_wrap=True)
    for heading in ("requests", "per second", "p50 ms", "p95 ms", "p99 ms", "max ms", "errors"):
        table.add_column(heading, justify="right")
    for row in rows(result):
        times = (f"{value:.2f}" for value in (row.p50, row.p95, row.p99, row.largest))
        table.add_row(
            row.operation, f"{row.requests:,}", f"{row.per_second:,.1f}", *times, f"{row.errors:,}"
        )
    console.print(table)
    record, seconds = result.record, result.record.seconds or 1.0
    moved = [
        f"{number:,} messages {name}, {number / seconds:,.1f} per second"
        for name, number in (
            ("posted", record.posted),
            ("claimed" if plan.finish in ("release", "keep") else "delivered", record.delivered),
            ("listed", record.listed),
        )
        if number
    ]
    for line in [*moved, *_remarks(result), *_judgement(result)]:
        console.print(line, soft_wrap=True)


def _remarks(result: Result) -> Iterator[str]:
    record = result.record
    if result.interrupted:
        yield f"Interrupted after {record.seconds:.1f} s."
    for (operation, reason), number in sorted(record.errors.items()):
        yield f"{number:,} × {operation}: {reason}"
    if record.given_up:
        yield "Stopped: nobody listens there any more."
    if record.unwaited:
        yield f"{record.unwaited:,} waiting claims were answered at once: no `wait`, or no room"
    if result.connections:
        shares = " + ".join(map(str, result.connections.values()))
        yield f"Connections by process of the server: {shares}"
    cpu = ", ".join(f"{load.cpu:.0%}" for load in result.loads)
    busy = max((load.busy for load in result.loads), default=0.0)
    yield f"Load generator: {len(result.loads)} processes, CPU {cpu}, busy at most {busy:.0%} of the time"
    if result.bottleneck:
        yield "The load generator may be the bottleneck: give it more --processes, or a machine of its own."


def _judgement(result: Result) -> Iterator[str]:
    verdict = result.verdict
    if verdict is None:
        return
    yield (
        f"Check: {verdict.acknowledged:,} acknowledged, {verdict.delivered:,} delivered, "
        f"{verdict.lost:,} lost, {verdict.doubled:,} doubled"
    )
    for number, text in (
        (verdict.phantoms, "delivered though their post was refused"),
        (verdict.disorder, "times an observer saw a producer's messages out of order, or again"),
        (verdict.left, "not delivered yet when the run ended"),
        (
            verdict.post_unknown,
            f"posts of unknown outcome, {verdict.post_unknown_delivered:,} of them delivered",
        ),
        (verdict.delete_unknown, "claimed, but nobody knows whether they were deleted"),
        (verdict.late, "deleted after their claim had ended, so they may have come again"),
    ):
        if number:
            yield f"       {number:,} {text}"
    for example in verdict.examples:
        yield f"       {example}"
