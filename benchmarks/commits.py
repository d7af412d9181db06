"""What do shared commits give? Threads that post to a SQLite file under `synchronous=FULL`.

    python benchmarks/commits.py
    python benchmarks/commits.py --clients 1,4,16,64 --json commits.json

Two sides in turns: steps share commits, as they do in the driver; each step has a commit of its own.
Both in one process, on files beside each other: the ratio depends on how long this disk takes to
say that it has something, which is printed too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from figures import Figure, write

from queueing.core.models import Draft, QueueRef, request_token
from queueing.storage.registry import open_storage
from queueing.storage.sqlite.driver import SQLiteStorage

TARGET = 2.0  # for 16 clients
QUEUE = QueueRef("bench", "q")
BODY = b'"' + b"x" * 98 + b'"'


def rate(storage: SQLiteStorage, clients: int, seconds: float) -> float:
    """Posts of one message per second, by so many threads."""
    counts = [0] * clients
    stop = time.perf_counter() + seconds

    def work(number: int) -> None:
        while time.perf_counter() < stop:
            storage.messages.post(
                QUEUE,
                [Draft(BODY, 3600)],
                client_id="",
                token=request_token(),
                version="",
                now=time.time(),
            )
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - begin)


def sync_milliseconds(folder: Path) -> float:
    """The median of 50 times that the disk was asked to keep 4 KiB."""
    times = []
    with (folder / "sync").open("wb") as file:
        for _ in range(50):
            file.write(b"x" * 4096)
            file.flush()
            begin = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", default="1,4,16", help="threads, as 1,4,16")
    parser.add_argument("--turns", type=int, default=5, help="of each side")
    parser.add_argument("--seconds", type=float, default=1.5, help="of a turn")
    parser.add_argument("--folder", help="where the files are made; the disk to measure")
    parser.add_argument("--quick", action="store_true", help="seconds only; no verdict")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, - for stdout")
    parser.add_argument("--plot", metavar="FILE", help="write an SVG")
    chosen = parser.parse_args()
    turns, seconds = (1, 0.2) if chosen.quick else (chosen.turns, chosen.seconds)
    rows = []
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        folder = Path(name)
        disk = sync_milliseconds(folder)
        shared, alone = (
            open_storage(f"sqlite:///{folder / side}.db", timeout_seconds=60)
            for side in ("shared", "alone")
        )
        assert isinstance(shared, SQLiteStorage) and isinstance(alone, SQLiteStorage)
        alone._connection._turns.others_wait = lambda: False  # so each commits for itself
        for clients in map(int, chosen.clients.split(",")):
            rates: dict[SQLiteStorage, list[float]] = {shared: [], alone: []}
            for turn in range(turns):
                print(f"\r{clients} clients, turn {turn + 1} of {turns} ", end="", file=sys.stderr)
                for side in (shared, alone) if turn % 2 else (alone, shared):
                    rates[side].append(rate(side, clients, seconds))
            one, other = (statistics.median(rates[side]) for side in (shared, alone))
            rows.append({"clients": clients, "shared": one, "alone": other, "ratio": one / other})
        shared.close()
        alone.close()
    out = sys.stderr if chosen.json == "-" else sys.stdout
    print(
        f"\rThe disk takes {disk:.2f} ms to keep 4 KiB. Posts of one message per second:\n",
        file=out,
    )
    print("| Clients | shared commits | one commit each | ratio |\n|---|---|---|---|", file=out)
    for row in rows:
        line = "| {clients:.0f} | {shared:,.0f} | {alone:,.0f} | {ratio:.2f} |"
        print(line.format(**row), file=out)
    figures = [
        Figure(
            f"{row['clients']:.0f} clients, shared commits / one commit each",
            row["ratio"],
            TARGET if row["clients"] == 16 else None,
        )
        for row in rows
    ]
    document = {"benchmark": "commits", "quick": chosen.quick, "sync_ms": disk, "rows": rows}
    title = "Posts to SQLite under synchronous=FULL: shared commits over one each"
    write(document, figures, title, chosen.json, chosen.plot)
    return 0 if chosen.quick or all(figure.met is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
