"""What metrics cost a POST of one message: its passage through the app and its one call of the store.

Both apps run in this process, as in overhead.py, and differ in the recorder alone. Figures are CPU time, medians over
short turns that alternate.

    python benchmarks/metrics.py
    python benchmarks/metrics.py --quick --json metrics.json
"""

from __future__ import annotations

import argparse
import json
import platform
import socket
import statistics
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from overhead import App, NoMessages, NoStorage, turn
from rich.console import Console
from rich.progress import track
from rich.table import Table

from queueing.api.app import create_app
from queueing.config import Settings
from queueing.core.clock import StoreClock
from queueing.metrics.place import Place
from queueing.metrics.recorder import Recorder
from queueing.storage.contract import Storage
from queueing.wiring import services_of

TARGET = 10.0  # µs


def app(recorder: Recorder | None = None) -> App:
    settings = Settings(access_log=False)
    storage = NoStorage()
    if recorder is not None:
        counted = recorder.around("messages.post", NoMessages().post)
        storage.messages = cast(NoMessages, SimpleNamespace(post=counted))
    store = cast(Storage, storage)
    services = services_of(store, StoreClock(storage.time), settings)
    return cast(App, create_app(services, settings, [recorder] if recorder else []))


def measure(turns: int, requests: int, console: Console) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as directory, socket.socket() as nobody:
        recorder = Recorder(Place(Path(directory), nobody), most_queues=100)
        apps = {"without": app(), "with metrics": app(recorder)}
        for each in apps.values():
            turn(each, requests)  # caches, compiled routes
        figures: dict[str, list[float]] = {name: [] for name in apps}
        for _ in track(range(turns), "Turns", console=console, transient=True):
            for name, each in apps.items():
                figures[name].append(turn(each, requests))
        recorder.close()
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=1000, help="turns of each app (%(default)s)")
    parser.add_argument("--requests", type=int, default=50, help="requests per turn (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="100 turns: about a second")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE, - for stdout")
    options = parser.parse_args()
    turns = 100 if options.quick else options.turns
    console = Console(stderr=options.json == "-")
    figures = measure(turns, options.requests, console)
    pairs = zip(*figures.values(), strict=True)
    cost = statistics.median([more - less for less, more in pairs])
    table = Table(title="POST of one message, store aside: µs of CPU per request")
    for column in ("app", "median", "least"):
        table.add_column(column, justify="left" if column == "app" else "right")
    for name, values in figures.items():
        table.add_row(name, f"{statistics.median(values):.1f}", f"{min(values):.1f}")
    console.print(table)
    verdict = "met" if cost <= TARGET else "missed"
    console.print(f"Metrics cost {cost:.1f} µs. Target: at most {TARGET:.0f} µs: {verdict}.")
    if options.json:
        document = {
            "benchmark": "metrics",
            "turns": turns,
            "requests_per_turn": options.requests,
            "python": platform.python_version(),
            "target_us": TARGET,
            "cost_us": round(cost, 2),
            "medians_us": {name: round(statistics.median(v), 2) for name, v in figures.items()},
        }
        text = json.dumps(document, indent=2) + "\n"
        if options.json == "-":
            sys.stdout.write(text)
        else:
            Path(options.json).write_text(text, encoding="utf-8")
    return 0 if cost <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
