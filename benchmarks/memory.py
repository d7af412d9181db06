"""Does a worker's memory grow? A million messages are posted, claimed and deleted through one worker.

Resident memory of the worker is read five times a second. What it needs once a tenth of the messages has
gone through is
where it starts from; the most that it needs afterwards is compared with that.

    python benchmarks/memory.py --storage redis
    python benchmarks/memory.py --quick --json memory.json
"""

from __future__ import annotations

import argparse
import platform
import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import services
from figures import Figure, write
from nodes import Node
from rich import progress as bars
from rich.console import Console

from queueing.bench.control import Unusable
from queueing.bench.plan import Plan, Target
from queueing.bench.run import Progress, Run

TARGET = 1.05
BATCH = 20  # messages in a request


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=1_000_000, help="%(default)s")
    parser.add_argument("--storage", choices=("sqlite", "redis"), default="sqlite")
    parser.add_argument("--server", choices=("gunicorn", "granian"), default="gunicorn")
    parser.add_argument("--clients", type=int, default=8, help="connections (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="20,000 messages, no verdict")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE, - for stdout")
    parser.add_argument("--plot", metavar="FILE", help="write an SVG")
    options = parser.parse_args()
    if options.quick:
        options.messages = 20_000
    console = Console(stderr=options.json == "-")
    try:
        samples = measure(options)
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    except (services.Failed, Unusable) as error:
        console.print(f"memory: {error}", markup=False)
        return 1
    figures = judge(samples, options)
    for figure in figures:
        console.print(f"{figure.name}: {figure.shown}  {figure.aim}  {figure.verdict}")
    document = {
        "benchmark": "memory",
        "python": platform.python_version(),
        "quick": options.quick,
        "messages": options.messages,
        "storage": options.storage,
        "server": options.server,
        "samples": [[posted, round(mebibytes, 2)] for posted, mebibytes in samples],
    }
    title = f"A worker's memory over {options.messages:,} messages"
    write(document, figures, title, options.json, options.plot)
    return 0 if options.quick or all(figure.met is not False for figure in figures) else 1


def measure(options: argparse.Namespace) -> list[tuple[int, float]]:
    """How many messages had been posted, and the worker's memory in MiB, again and again."""
    samples: list[tuple[int, float]] = []
    with (
        TemporaryDirectory(prefix="memory-") as name,
        ExitStack() as stack,
        bars.Progress(
            *bars.Progress.get_default_columns(),
            bars.TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        ) as shown,
    ):
        directory = Path(name)
        uri = f"sqlite:///{directory}/memory.db?synchronous=normal"
        if options.storage == "redis":
            redis, uri = services.redis(directory)
            stack.callback(redis.stop)
        node = Node(uri, directory / "node.log", server=options.server)
        stack.callback(node.stop)
        task = shown.add_task("messages", total=options.messages)

        def watch(progress: Progress) -> None:
            samples.append((progress.posted, node.worker_mebibytes()))
            shown.update(task, completed=progress.posted)

        plan = Plan(
            target=Target(host="127.0.0.1", port=node.port),
            queues=("memory",),
            cyclers=options.clients,
            batch=BATCH,
            claim=BATCH,
            finish="bulk",
            messages=options.messages,
        )
        with Run(plan, processes=2, progress=watch) as run:
            result = run.load()
        if result.record.posted < options.messages:
            raise Unusable(f"{result.record.posted} of {options.messages} messages were posted")
        samples.append((result.record.posted, node.worker_mebibytes()))
    return samples


def judge(samples: list[tuple[int, float]], options: argparse.Namespace) -> list[Figure]:
    warm = options.messages // 10
    rest = [sample for sample in samples if sample[0] >= warm]
    start = median([mebibytes for _, mebibytes in rest][:5])
    parts = [
        min(rest, key=lambda sample, part=part: abs(sample[0] - options.messages * part / 10))
        for part in (1, 5, 10)
    ]
    side = f"{options.server} {options.storage}"
    return [
        *(
            Figure(f"{side}: after {posted:,} messages", mebibytes, unit="MiB")
            for posted, mebibytes in parts
        ),
        Figure(
            f"{side}: the most after a tenth / after a tenth",
            max(mebibytes for _, mebibytes in rest) / start,
            TARGET,
            most=True,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
