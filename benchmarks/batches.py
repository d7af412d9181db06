"""Messages in tens against messages one by one: how many a second go through.

One service, two workloads in turns: posts of 1 and of 10, then whole cycles (post, claim, delete) of 1
and of 10. Rates are of messages.

    python benchmarks/batches.py --storage redis
    python benchmarks/batches.py --quick
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

import harness
import services
from harness import Comparison, Match, Workload, cycle, post
from rich.progress import Progress

TARGET = 5.0
STORES = ("sqlite", "redis")


def main() -> int:
    parser = harness.parser(__doc__)
    parser.add_argument("--server", choices=("gunicorn", "granian"), default="gunicorn")
    parser.add_argument("--storage", choices=STORES, default="redis")
    parser.add_argument("--clients", type=int, default=16, help="connections (%(default)s)")
    options = parser.parse_args()
    number = options.clients
    pairs = {
        "post": (post(number), post(number, 10)),
        "cycle": (cycle(number, 1), cycle(number, 10)),
    }
    names = harness.chosen(parser, options, *(pair[1] for pair in pairs.values()))

    def carry_out(directory: Path, progress: Progress) -> list[Comparison]:
        with ExitStack() as stack:
            uri, also = f"sqlite:///{directory}/batches.db?synchronous=normal", []
            if options.storage == "redis":
                redis, uri = services.redis(directory)
                stack.callback(redis.stop)
                also = [redis]
            name = f"{options.server} {options.storage}"
            ours = services.ours(name, uri, directory, server=options.server, also=also)
            stack.callback(ours.stop)
            return [
                compared(pair, ours, options, progress)
                for pair in pairs.values()
                if pair[1] in names
            ]

    return harness.main("batches", "Messages a second in tens over one by one", options, carry_out)


def compared(
    pair: tuple[Workload, Workload],
    service: services.Service,
    options: argparse.Namespace,
    progress: Progress,
) -> Comparison:
    task = progress.add_task(f"{service.name}: {pair[1].name}", total=options.turns)
    with (
        Match(pair[0], [service], options.seconds) as single,
        Match(pair[1], [service], options.seconds) as tens,
    ):
        for match in (single, tens):
            match.warm_up()
        for number in range(options.turns):
            for match in (single, tens) if number % 2 else (tens, single):
                match.turn(number)
            progress.advance(task)
    one, ten = single.measured[0].by_message(1), tens.measured[0].by_message(10)
    return harness.comparison(
        pair[1].name, (service.name, ten), (pair[0].name, one), (TARGET, False)
    )


if __name__ == "__main__":
    sys.exit(main())
