"""What clients that attack the edge cost the others.

While normal clients post, claim and delete, some on connections that they keep and some on a new one for
each message, others attack one node, from several addresses and again as soon as they are thrown out:

* heads (2,000 of them): a request's head comes byte by byte, and never ends;
* bodies (2,000): the head says how long the body is, which comes byte by byte;
* idle (10,000): connections on which nothing is sent;
* kept (10,000): connections that were used once and are kept.

The rate of the normal clients beside each attack is compared with that just before it. With --balancer
everybody goes through haproxy with `etc/haproxy.cfg`.

    python benchmarks/edge.py
    python benchmarks/edge.py --set server=granian --balancer
    python benchmarks/edge.py --quick --json edge.json

Exit status: 0 targets met, 1 missed, 130 interrupted. `--quick` gives no verdict.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import selectors
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn
from waiters import POST, Connection, Figure, Node, show

sys.path.insert(0, str(Path(__file__).parent.parent))

ATTACKS: Final = {"heads": 2000, "bodies": 2000, "idle": 10_000, "kept": 10_000}
CLIENTS: Final = 4
LEAST: Final = 0.7
TRICKLE_SECONDS: Final = 2.0

HEAD: Final = b"POST /v2/queues/slow/messages HTTP/1.1\r\nHost: b\r\n"
OPENING: Final = {
    "heads": HEAD + b"X-Slow: ",
    "bodies": HEAD + b'Content-Length: 5000\r\n\r\n{"messages": [{"body": "',
    "idle": b"",
    "kept": b"GET /v2/health/live HTTP/1.1\r\nHost: b\r\n\r\n",
}


def load(port: int, seconds: float, answer: Any) -> None:
    """How many requests of normal clients were answered, and how: by status, or by what went wrong."""
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def cycle(number: int) -> None:
        keeps = number % 2 == 0
        queue = f"/v2/queues/others-{number}"
        end = time.monotonic() + seconds
        connection = None
        while time.monotonic() < end:
            statuses: list[str] = []
            try:
                connection = connection or Connection(port)
                statuses.append(str(connection.ask("POST", f"{queue}/messages", POST)[0]))
                status, claim = connection.ask("POST", f"{queue}/claims?limit=1")
                statuses.append(str(status))
                for message in json.loads(claim)["messages"] if claim else []:
                    statuses.append(str(connection.ask("DELETE", message["href"])[0]))
            except (OSError, ValueError) as error:
                statuses.append(type(error).__name__)
                keeps_now = False
            else:
                keeps_now = keeps
            if connection is not None and not keeps_now:
                connection.socket.close()
                connection = None
            with lock:
                counts.update(statuses)

    threads = [threading.Thread(target=cycle, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answer.send(dict(counts))


def attack(port: int, kind: str, size: int, told: Any) -> None:
    """Hold so many connections until told to end; those that are closed are opened again."""
    selector = selectors.DefaultSelector()
    addresses = [f"127.0.0.{number}" for number in range(2, 12)]
    counts: Counter[str] = Counter()

    def open_one(number: int) -> None:
        connection = socket.socket()
        connection.setblocking(False)
        try:
            connection.bind((addresses[number % len(addresses)], 0))
        except OSError:
            counts["no port"] += 1
            connection.close()
            return
        connection.connect_ex(("127.0.0.1", port))
        selector.register(connection, selectors.EVENT_WRITE, number)
        counts["opened"] += 1

    def close(connection: Any, number: int) -> None:
        selector.unregister(connection)
        connection.close()
        counts["closed"] += 1
        again.append(number)

    again = list(range(size))
    next_trickle = time.monotonic() + TRICKLE_SECONDS
    while not told.poll():
        # As many a second as it may need: a crowd that comes in all at once only fights itself.
        for number in again[:100]:
            open_one(number)
        del again[:100]
        for key, events in selector.select(0.02):
            connection: Any = key.fileobj
            try:
                if events & selectors.EVENT_WRITE:
                    if OPENING[kind]:
                        connection.send(OPENING[kind])
                    selector.modify(connection, selectors.EVENT_READ, key.data)
                elif not connection.recv(65536):
                    close(connection, key.data)
            except OSError:
                close(connection, key.data)
        if kind in ("heads", "bodies") and time.monotonic() >= next_trickle:
            next_trickle += TRICKLE_SECONDS
            for key in list(selector.get_map().values()):
                if key.events == selectors.EVENT_READ:
                    try:
                        key.fileobj.send(b"x")  # type: ignore[union-attr]  # all are sockets
                    except OSError:
                        close(key.fileobj, key.data)
    counts["held at the end"] = len(selector.get_map())
    told.send(dict(counts))


def measure(
    node: Node, port: int, kind: str, size: int, seconds: float, advance: Any
) -> tuple[float, float, dict[str, int], dict[str, int], float]:
    """Rates without and beside the attack, what normal clients saw, what attackers did, MiB."""
    context = multiprocessing.get_context("spawn")

    def rate() -> tuple[float, dict[str, int]]:
        ours, theirs = context.Pipe(duplex=False)
        client = context.Process(target=load, args=(port, seconds, theirs))
        client.start()
        seen = ours.recv()
        client.join()
        advance(1)
        good = sum(count for what, count in seen.items() if what.startswith("2"))
        return good / seconds, seen

    alone, _ = rate()
    ours, theirs = context.Pipe()
    attacker = context.Process(target=attack, args=(port, kind, size, theirs))
    attacker.start()
    time.sleep(2 + size / 1500)
    beside, seen = rate()
    memory = node.memory_mebibytes()
    ours.send("end")
    did = ours.recv()
    attacker.join()
    time.sleep(1)
    return alone, beside, seen, did, memory


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="NAMES", help=f"with commas: {','.join(ATTACKS)}")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the node"
    )
    parser.add_argument("--balancer", action="store_true", help="haproxy in front of the node")
    parser.add_argument(
        "--connections", type=int, metavar="N", help="attack with so many, not as many as above"
    )
    parser.add_argument("--turns", type=int, default=3, help="of each attack (%(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of a phase (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="small numbers, no verdict")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE, - for stdout")
    return parser.parse_args(arguments)


def main() -> int:
    chosen = parse()
    kinds = chosen.only.split(",") if chosen.only else list(ATTACKS)
    if unknown := set(kinds) - set(ATTACKS):
        print(f"--only: there is no {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    turns, seconds, part = (1, 1.0, 20) if chosen.quick else (chosen.turns, chosen.seconds, 1)
    options = dict(pair.split("=", 1) for pair in chosen.set)
    console = Console(stderr=chosen.json == "-")
    figures: list[Figure] = []
    details: dict[str, Any] = {}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        storage = f"sqlite:///{home / 'queueing.db'}?synchronous=normal"
        node = Node(storage, home, {"max_waiters": "400", **options})
        stack.callback(node.stop)
        port = node.port
        if chosen.balancer:
            from tests.torture.balancer import Balancer

            balancer = Balancer(home / "balancer", [node.port])
            balancer.start()
            stack.callback(balancer.stop)
            port = int(balancer.url.rpartition(":")[2])
        progress = stack.enter_context(
            Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console)
        )
        task = progress.add_task("attacking", total=2 * turns * len(kinds))
        for kind in kinds:
            size = (chosen.connections or ATTACKS[kind]) // part
            ratios, errors, memory = [], Counter[str](), 0.0
            for _ in range(turns):
                alone, beside, seen, did, memory = measure(
                    node, port, kind, size, seconds, lambda n: progress.advance(task, n)
                )
                ratios.append(beside / alone)
                errors.update({what: n for what, n in seen.items() if not what.startswith("2")})
                details.setdefault(kind, []).append(
                    {"alone": alone, "beside": beside, "seen": seen, "attackers": did}
                )
            what = f"{size:,} {kind}: rate of others, against without"
            figures.append(Figure(what, statistics.median(ratios), LEAST))
            ours = sum(n for what, n in errors.items() if what.startswith("5"))
            figures.append(Figure(f"{size:,} {kind}: 5xx", ours, 0, most=True))
            others = errors.total() - ours
            figures.append(Figure(f"{size:,} {kind}: connections lost", others))
            figures.append(Figure(f"{size:,} {kind}: memory", memory, unit="MiB"))
    show(console, figures)
    if chosen.json:
        document = {"figures": [figure.document() for figure in figures], "turns": details}
        text = json.dumps(document, indent=1)
        if chosen.json == "-":
            print(text)
        else:
            Path(chosen.json).write_text(text + "\n")
    if chosen.quick:
        return 0
    missed = [figure for figure in figures if figure.met is False]
    console.print("All targets met." if not missed else f"{len(missed)} targets missed.")
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
