"""One, two and three nodes on one Redis server: rates, and CPU time for 1,000 messages of all processes.

The nodes share one machine with Redis and the load generator, so where there are fewer cores than
processes the rate cannot grow; what each message costs in CPU time must not grow either.

    python benchmarks/scaling.py --server granian
    python benchmarks/scaling.py --quick
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import harness
import services
from harness import Comparison, Workload, cycle, post
from rich.progress import Progress
from services import Service

TARGET = 1.1


def main() -> int:
    parser = harness.parser(__doc__)
    parser.add_argument("--server", choices=("gunicorn", "granian"), default="gunicorn")
    parser.add_argument("--clients", type=int, default=12, help="connections (%(default)s)")
    options = parser.parse_args()
    workloads = harness.chosen(
        parser,
        options,
        post(options.clients),
        cycle(options.clients, 1),
        cycle(options.clients, 10),
    )

    def target(workload: Workload, service: Service) -> tuple[float | None, bool]:
        return (TARGET if len(service.targets) == 3 else None), True

    def carry_out(directory: Path, progress: Progress) -> list[Comparison]:
        with ExitStack() as stack:
            sides = []
            for nodes in (1, 2, 3):
                redis, uri = services.redis(directory)
                stack.callback(redis.stop)
                name = f"{nodes} node{'s' * (nodes > 1)}"
                service = services.ours(
                    name, uri, directory, server=options.server, nodes=nodes, also=[redis]
                )
                stack.callback(service.stop)
                sides.append(service)
            return harness.compare(workloads, sides, options, target, progress)

    return harness.main("scaling", "CPU time of a message over one node's", options, carry_out)


if __name__ == "__main__":
    sys.exit(main())
