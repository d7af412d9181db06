"""What does a node need that has nothing to do, beside 10,000 queues? Less than 1 % of a core.

A node of `queueing serve` on each store, all at the same time; CPU time of all its processes is read
before and after --seconds.

    python benchmarks/idle.py
    python benchmarks/idle.py --server granian --also mongodb://127.0.0.1/idle
    python benchmarks/idle.py --quick --json idle.json
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import services
from figures import Figure, write
from flat import Side, many_queues, remove_project
from nodes import Node
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from queueing.core.errors import SetupError, StorageUnavailable
from queueing.core.models import QueueRef, request_token
from queueing.storage.registry import open_storage

TARGET = 1.0  # percent of a core
SETTLE_SECONDS = 3.0  # from the start of a node until it is idle


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queues", type=int, default=10_000, help="with messages (%(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0, help="that are idle (%(default)s)")
    parser.add_argument("--server", choices=("gunicorn", "granian"), default="gunicorn")
    parser.add_argument(
        "--also", action="append", default=[], metavar="URI", help="of one more store"
    )
    parser.add_argument("--quick", action="store_true", help="100 queues, 2 s, no verdict")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE, - for stdout")
    parser.add_argument("--plot", metavar="FILE", help="write an SVG")
    options = parser.parse_args()
    if options.quick:
        options.queues, options.seconds = 100, 2.0
    console = Console(stderr=options.json == "-")
    try:
        figures = measure(options)
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    except (services.Failed, SetupError, StorageUnavailable) as error:
        console.print(f"idle: {error}", markup=False)
        return 1
    for figure in figures:
        console.print(f"{figure.name}: {figure.shown}  {figure.aim}  {figure.verdict}")
    document = {
        "benchmark": "idle",
        "python": platform.python_version(),
        "quick": options.quick,
        "queues": options.queues,
        "seconds": options.seconds,
        "server": options.server,
    }
    title = f"CPU of an idle node with {options.queues:,} queues, in percent of a core"
    write(document, figures, title, options.json, options.plot)
    return 0 if options.quick or all(figure.met for figure in figures) else 1


def measure(options: argparse.Namespace) -> list[Figure]:
    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    with (
        TemporaryDirectory(prefix="idle-") as name,
        ExitStack() as stack,
        Progress(*columns, console=Console(stderr=True), transient=True) as progress,
    ):
        directory = Path(name)
        redis, redis_uri = services.redis(directory)
        stack.callback(redis.stop)
        stores = {"sqlite": f"sqlite:///{directory}/idle.db", "redis": redis_uri}
        stores |= {uri.partition(":")[0]: uri for uri in options.also}
        nodes = {}
        for store, uri in stores.items():
            project = f"idle-{request_token()}"
            stack.callback(remove_project, uri, project)
            task = progress.add_task(f"{store}: fill", total=options.queues)
            with closing(open_storage(uri)) as storage:
                side = Side(storage, QueueRef(project, "first"))
                many_queues(side, options.queues, lambda n, task=task: progress.advance(task, n))
            nodes[store] = Node(uri, directory / f"{store}.log", server=options.server)
            stack.callback(nodes[store].stop)
        time.sleep(SETTLE_SECONDS)
        began, before = time.monotonic(), {key: node.cpu_seconds() for key, node in nodes.items()}
        task = progress.add_task("idle", total=options.seconds)
        while (passed := time.monotonic() - began) < options.seconds:
            progress.update(task, completed=passed)
            time.sleep(min(1.0, options.seconds - passed))
        percent = {
            store: 100 * (node.cpu_seconds() - before[store]) / (time.monotonic() - began)
            for store, node in nodes.items()
        }
    return [
        Figure(f"{options.server}, {store}", value, TARGET, most=True, unit="%")
        for store, value in percent.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
