"""Ours against the floor: bare Falcon that does one equivalent store call, same server, same store.

Two nodes of one worker process with 8 threads on each side, so that both are busy whatever the
connections do. SQLite files are each side's own; both sides share the Redis server.

    python benchmarks/against_floor.py --servers gunicorn --stores sqlite-normal,redis
    python benchmarks/against_floor.py --quick
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import harness
import services
from harness import Comparison, Workload, claim, cycle, delete, post
from rich.progress import Progress
from services import Service

STORES = ("sqlite-normal", "sqlite-full", "redis")
SERVERS = ("gunicorn", "granian")
TARGET = 0.85
GROUP_COMMIT = 2.0  # 16 clients against a commit for each request


def main() -> int:
    parser = harness.parser(__doc__)
    parser.add_argument("--servers", default="gunicorn,granian", metavar="NAMES")
    parser.add_argument("--stores", default=",".join(STORES), metavar="NAMES")
    parser.add_argument("--clients", type=int, default=16, help="connections (%(default)s)")
    options = parser.parse_args()
    chosen = {"servers": SERVERS, "stores": STORES}
    for option, known in chosen.items():
        names = getattr(options, option).split(",")
        if unknown := set(names) - set(known):
            parser.error(f"--{option}: expected some of {','.join(known)}, got {','.join(unknown)}")
        setattr(options, option, names)
    number = options.clients
    workloads = harness.chosen(
        parser,
        options,
        post(number),
        claim(number),
        delete(number),
        cycle(number, 1),
        cycle(number, 10),
    )

    def carry_out(directory: Path, progress: Progress) -> list[Comparison]:
        rows: list[Comparison] = []
        for server in options.servers:
            for store in options.stores:
                with ExitStack() as stack:
                    sides = start(stack, directory, server, store)
                    rows += harness.compare(workloads, sides, options, target_on(store), progress)
        return rows

    return harness.main("against_floor", "Rates over the floor's", options, carry_out)


def target_on(store: str) -> harness.Targets:
    def target(workload: Workload, service: Service) -> tuple[float | None, bool]:
        if workload.name == "cycle of 10":
            return None, False
        return (GROUP_COMMIT if store == "sqlite-full" else TARGET), False

    return target


def start(stack: ExitStack, directory: Path, server: str, store: str) -> list[Service]:
    """The floor and ours."""
    if store == "redis":
        process, uri = services.redis(directory)
        stack.callback(process.stop)
        floors = theirs = uri
        also = [process]
    else:
        home = directory / f"{server}-{store}"
        home.mkdir()
        options = f"?synchronous={store.removeprefix('sqlite-')}"
        floors, theirs = f"sqlite:///{home}/floor.db{options}", f"sqlite:///{home}/ours.db{options}"
        also = []
    floor = services.floor(f"floor {server} {store}", floors, directory, server=server, also=also)
    stack.callback(floor.stop)
    ours = services.ours(f"ours {server} {store}", theirs, directory, server=server, also=also)
    stack.callback(ours.stop)
    return [floor, ours]


if __name__ == "__main__":
    sys.exit(main())
