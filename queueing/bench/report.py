"""What a run measured, as plain values: for JSON, and for whoever draws a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

from queueing.bench.plan import Plan, Preparation
from queueing.bench.run import Result

ORDER = (
    "post",
    "claim",
    "claim, empty",
    "delete",
    "release",
    "cycle",
    "list",
    "wait",
)
MILLI = 1e6  # nanoseconds


class Row(NamedTuple):
    """One operation; times in milliseconds."""

    operation: str
    requests: int
    per_second: float
    p50: float
    p95: float
    p99: float
    largest: float
    errors: int


def rows(result: Result) -> list[Row]:
    record = result.record
    failed: dict[str, int] = {}
    for (operation, _), number in record.errors.items():
        failed[operation] = failed.get(operation, 0) + number
    found = []
    for name in sorted(record.times.keys() | failed.keys(), key=_place):
        times = record.times[name]
        found.append(
            Row(
                name,
                times.count,
                times.count / record.seconds if record.seconds else 0.0,
                times.percentile(0.5) / MILLI,
                times.percentile(0.95) / MILLI,
                times.percentile(0.99) / MILLI,
                times.largest / MILLI,
                failed.get(name, 0),
            )
        )
    return found


def _place(operation: str) -> tuple[int, str]:
    return (ORDER.index(operation) if operation in ORDER else len(ORDER), operation)


def document(
    urls: Sequence[str], plan: Plan, preparation: Preparation, result: Result
) -> dict[str, Any]:
    """The whole result as JSON has it. Headers are left out: they may hold a secret."""
    record = result.record
    seconds = record.seconds or 1.0
    load = dataclasses.asdict(plan)
    del load["target"]
    return {
        "benchmark": "bench",
        "urls": list(urls),
        "project": plan.target.project,
        "begun": round(result.begun, 3),
        "seconds": round(record.seconds, 3),
        "interrupted": result.interrupted,
        "plan": load | {"depth": preparation.depth, "claimed": preparation.claimed},
        "operations": {
            row.operation: {
                "requests": row.requests,
                "per_second": round(row.per_second, 2),
                "p50_ms": round(row.p50, 3),
                "p95_ms": round(row.p95, 3),
                "p99_ms": round(row.p99, 3),
                "max_ms": round(row.largest, 3),
            }
            for row in rows(result)
        },
        "messages": {
            name: {"number": number, "per_second": round(number / seconds, 2)}
            for name, number in (
                ("posted", record.posted),
                ("delivered", record.delivered),
                ("listed", record.listed),
            )
        },
        "errors": {
            f"{operation}: {reason}": number
            for (operation, reason), number in sorted(record.errors.items())
        },
        "load_generator": {
            "processes": len(result.loads),
            "cpu": [round(one.cpu, 3) for one in result.loads],
            "busy": [round(one.busy, 3) for one in result.loads],
            "bottleneck": result.bottleneck,
        },
        "connections": list(result.connections.values()),
        "check": result.verdict
        and dataclasses.asdict(result.verdict)
        | {"ok": result.verdict.ok, "complete": result.verdict.complete},
    }
