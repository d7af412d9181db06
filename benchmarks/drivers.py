"""What a storage driver costs by itself: its own Python, the memory of a message, its longest scripts.

Each verb is called through the driver, and what it sends then is sent again by the engine's client
library alone, in turns. Figures are CPU time of the calling thread, medians over short turns: what
the engine does meanwhile is not in them.

    redis-server --port 6390 --save "" &
    python benchmarks/drivers.py redis://127.0.0.1:6390
    python benchmarks/drivers.py mongodb://127.0.0.1/drivers           # no memory, no scripts
    python benchmarks/drivers.py redis://127.0.0.1:6390 --load 20      # and the longest script under load
    python benchmarks/drivers.py redis://127.0.0.1:6390 --quick --json drivers.json
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from figures import Figure, write
from rich.console import Console
from rich.progress import track
from rich.table import Table

from queueing.core.models import ClaimTerms, Draft, QueueRef, request_token
from queueing.storage.contract import Storage
from queueing.storage.registry import open_storage

TARGET_US = 30.0  # of a driver's own Python, beyond the client library's bare call
TARGET_BYTES = 600  # of memory for a waiting message of 100 bytes
BODY = b'"' + b"x" * 98 + b'"'
CLIENT = "3381af92-2b9e-11e3-b191-71861300734c"

Ask = Callable[[], object]


class Side(ABC):
    """An engine: how to see what a driver sends it, and how to send that without the driver."""

    @abstractmethod
    @contextmanager
    def recorded(self) -> Iterator[list[Ask]]:
        """What the driver sends within, as calls of the client library that send the same again."""

    def memory(self) -> int:
        """Bytes that the engine uses just now; 0 if it does not tell."""
        return 0

    def watch(self) -> None:
        """Note from now on how long each script runs, or what takes its place."""
        return

    def longest(self) -> dict[str, float]:
        """The longest run of each since then, µs; an end of noting."""
        return {}


class RedisSide(Side):
    """Scripts and plain commands, sent again by `redis.Redis.execute_command`."""

    def __init__(self, uri: str) -> None:
        import redis

        from queueing.storage.redis import scripts

        plain = uri.partition("?")[0]
        self._client = redis.Redis.from_url(plain, protocol=2)
        self._scripts = {script.sha: script.name for script in scripts.ALL}

    @contextmanager
    def recorded(self) -> Iterator[list[Ask]]:
        from queueing.storage.redis import requests

        sent: list[Ask] = []
        ask = requests.exchange

        def asked(server: Any, commands: Sequence[Any], seconds: float) -> list[Any]:
            for command in commands:
                sent.append(lambda it=command: self._client.execute_command(*it))
            return ask(server, commands, seconds)

        requests.exchange = asked
        try:
            yield sent
        finally:
            requests.exchange = ask

    def memory(self) -> int:
        for key in self._client.scan_iter("*tokens*", count=10_000):
            self._client.delete(key)  # as a minute later
        return int(self._client.info("memory")["used_memory"])

    def watch(self) -> None:
        self._client.config_set("slowlog-max-len", 1_000_000)
        self._client.config_set("slowlog-log-slower-than", 0)
        self._client.slowlog_reset()

    def longest(self) -> dict[str, float]:
        self._client.config_set("slowlog-log-slower-than", -1)
        longest: defaultdict[str, float] = defaultdict(float)
        for entry in self._client.slowlog_get(1_000_000):
            words = entry["command"].split(b" ")
            if words[0] == b"EVALSHA":
                name = self._scripts.get(words[1], "?")
                longest[name] = max(longest[name], float(entry["duration"]))
        self._client.slowlog_reset()
        return dict(longest)


class MongoSide(Side):
    """Methods of pymongo's `Collection`, called again with the same arguments and no time-out."""

    METHODS = (
        "find",
        "find_one",
        "find_one_and_update",
        "bulk_write",
        "delete_many",
        "count_documents",
        "update_one",
        "update_many",
    )

    def __init__(self, uri: str) -> None:
        """The driver's own client is asked again."""

    @contextmanager
    def recorded(self) -> Iterator[list[Ask]]:
        from pymongo.collection import Collection

        sent: list[Ask] = []
        methods = {name: getattr(Collection, name) for name in self.METHODS}

        def recording(name: str) -> Callable[..., Any]:
            method = methods[name]

            def called(documents: Any, *arguments: Any, **named: Any) -> Any:
                restore()  # what it calls itself is not another request
                try:
                    if name == "find":  # nothing is sent before it is read
                        sent.append(lambda: list(method(documents, *arguments, **named)))
                    else:
                        sent.append(lambda: method(documents, *arguments, **named))
                    return method(documents, *arguments, **named)
                finally:
                    record()

            return called

        def record() -> None:
            for name in methods:
                setattr(Collection, name, recording(name))

        def restore() -> None:
            for name, method in methods.items():
                setattr(Collection, name, method)

        record()
        try:
            yield sent
        finally:
            restore()


SIDES: dict[str, Callable[[str], Side]] = {"redis": RedisSide, "mongodb": MongoSide}


class Verbs:
    """Each verb as it is called most often, on a queue of its own."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.queue = QueueRef(f"drivers-{uuid4()}", "q")
        self.posted: list[str] = []
        self.claimed = ""

    def post(self, number: int = 1) -> None:
        drafts = [Draft(BODY, 86_400)] * number
        posted = self.storage.messages.post(
            self.queue,
            drafts,
            client_id=CLIENT,
            token=request_token(),
            version="",
            now=time.time(),
        )
        self.posted = list(posted.ids)

    def claim(self, limit: int = 1) -> list[str]:
        terms = ClaimTerms(300, 60, limit)
        token = request_token()
        claimed = self.storage.claims.claim(
            self.queue, terms, token=token, version="", now=time.time()
        ).claim
        self.claimed = token
        return [message.id for message in claimed.messages] if claimed else []

    def get(self) -> None:
        self.storage.messages.get(self.queue, self.posted[:1], now=time.time())

    def stats(self) -> None:
        self.storage.messages.stats(self.queue, now=time.time())

    def release(self) -> None:
        self.storage.claims.release(self.queue, self.claimed, now=time.time())

    def prepared(self, verb: str) -> Ask:
        """A call of the driver, all of whose arguments are there and which finds something to do."""
        messages, claims, queue, now = (
            self.storage.messages,
            self.storage.claims,
            self.queue,
            time.time(),
        )
        token = request_token()
        if verb == "post":
            drafts = [Draft(BODY, 86_400)]
            return lambda: messages.post(
                queue, drafts, client_id=CLIENT, token=token, version="", now=now
            )
        self.post()
        (id,) = self.posted
        if verb == "claim":
            terms = ClaimTerms(300, 60, 1)
            return lambda: claims.claim(queue, terms, token=token, version="", now=now)
        if verb == "delete":
            return lambda: messages.delete(queue, id, claim_id=None, now=now)
        if verb == "get":
            return lambda: messages.get(queue, [id], now=now)
        if verb == "stats":
            return lambda: messages.stats(queue, now=now)
        self.claim()
        claim_id = self.claimed
        return lambda: claims.release(queue, claim_id, now=now)


VERBS = ("post", "claim", "get", "delete", "stats", "release")


def turn(side: Side, verbs: Verbs, verb: str, calls: int) -> tuple[float, float, int]:
    """Microseconds of CPU for a call through the driver and a bare one; round trips of a call."""
    ours, bare, requests = 0.0, 0.0, 0
    for _ in range(calls):
        ask = verbs.prepared(verb)
        began = time.thread_time()
        ask()
        ours += time.thread_time() - began
        ask = verbs.prepared(verb)
        with side.recorded() as sent:
            ask()
        began = time.thread_time()
        for again in sent:
            again()
        bare += time.thread_time() - began
        requests = len(sent)
    return ours / calls * 1e6, bare / calls * 1e6, requests


def overhead(
    side: Side, storage: Storage, turns: int, calls: int, console: Console
) -> dict[str, dict[str, float]]:
    verbs = Verbs(storage)
    figures: dict[str, list[tuple[float, float, int]]] = {verb: [] for verb in VERBS}
    for verb in VERBS:
        turn(side, verbs, verb, calls)  # caches, connections, scripts
    for _ in track(range(turns), "Turns", console=console, transient=True):
        for verb in VERBS:
            figures[verb].append(turn(side, verbs, verb, calls))
    storage.queues.delete(verbs.queue, now=time.time())
    return {
        verb: {
            "requests": taken[-1][2],
            "ours_us": round(statistics.median(it[0] for it in taken), 1),
            "bare_us": round(statistics.median(it[1] for it in taken), 1),
            "over_bare_us": round(statistics.median(it[0] - it[1] for it in taken), 1),
        }
        for verb, taken in figures.items()
    }


def memory(side: Side, storage: Storage, number: int) -> float:
    """Bytes of the engine's memory for each waiting message with a body of 100 bytes."""
    verbs = Verbs(storage)
    verbs.post()
    before = side.memory()
    for _ in range(number):
        verbs.post()
    used = (side.memory() - before) / number
    storage.queues.delete(verbs.queue, now=time.time())
    return used


def load(side: Side, storage: Storage, seconds: float) -> dict[str, float]:
    """The longest run of each script while 8 threads do all kinds of steps, of all sizes."""
    side.watch()
    end = time.monotonic() + seconds
    project = f"drivers-{uuid4()}"

    def work(number: int) -> None:
        rng = random.Random(number)
        verbs = Verbs(storage)
        verbs.queue = QueueRef(project, f"q{number % 2}")
        while time.monotonic() < end:
            verbs.post(rng.choice([1, 1, 1, 20, 100]))
            held = verbs.claim(rng.choice([1, 10, 100]))
            if rng.random() < 0.3:
                verbs.release()
            elif held:
                storage.messages.delete_many(
                    verbs.queue, held, claim_ids=[verbs.claimed], now=time.time()
                )
            verbs.get()
            verbs.stats()
            storage.messages.pop(
                verbs.queue, rng.choice([1, 100]), token=request_token(), now=time.time()
            )
            storage.messages.page(
                verbs.queue,
                after=0,
                limit=rng.choice([10, 100]),
                hide_client=None,
                include_claimed=True,
                include_delayed=True,
                now=time.time(),
            )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    longest = side.longest()
    for number in range(2):
        storage.queues.delete(QueueRef(project, f"q{number}"), now=time.time())
    return longest


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("storage", metavar="URI", help="a store that nobody else uses meanwhile")
    parser.add_argument("--turns", type=int, default=100, help="of each verb (%(default)s)")
    parser.add_argument("--calls", type=int, default=20, help="per turn (%(default)s)")
    parser.add_argument("--messages", type=int, default=20_000, help="to weigh (%(default)s)")
    parser.add_argument("--load", type=float, default=0, metavar="SECONDS", help="watch scripts")
    parser.add_argument("--quick", action="store_true", help="seconds: it runs, no verdict")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE, - for stdout")
    parser.add_argument("--plot", metavar="FILE", help="write an SVG")
    options = parser.parse_args()
    scheme = options.storage.partition(":")[0].lower()
    if scheme not in SIDES:
        parser.error(f"URI: expected one that begins with {', '.join(SIDES)}, got {scheme}")
    turns, messages = (3, 1000) if options.quick else (options.turns, options.messages)
    console = Console(stderr=options.json == "-")
    storage = open_storage(options.storage)
    side = SIDES[scheme](options.storage)
    results = overhead(side, storage, turns, options.calls, console)
    table = Table(title="CPU of the calling thread, µs a call")
    for column in ("verb", "requests", "driver", "bare client", "over bare"):
        table.add_column(column, justify="left" if column == "verb" else "right")
    for verb, row in results.items():
        table.add_row(verb, *(f"{value:g}" for value in row.values()))
    console.print(table)
    most = max(row["over_bare_us"] for row in results.values())
    weight = memory(side, storage, messages)
    verdicts = {f"At most {TARGET_US:g} µs over the bare client": most <= TARGET_US}
    if weight:
        size = f"At most {TARGET_BYTES} bytes a message of 100 bytes ({weight:.0f})"
        verdicts[size] = weight <= TARGET_BYTES
    for verdict, met in verdicts.items():
        console.print(f"{verdict}: {'met' if met else 'missed'}.")
    longest = load(side, storage, options.load) if options.load else {}
    for name, duration in sorted(longest.items(), key=lambda it: -it[1]):
        console.print(f"{name}: {duration / 1000:.1f} ms at most")
    storage.close()
    figures = [
        Figure(f"{verb}: driver above {scheme} client", row["over_bare_us"], TARGET_US, True, "µs")
        for verb, row in results.items()
    ]
    if weight:
        figures.append(
            Figure("a waiting message of 100 bytes", weight, TARGET_BYTES, True, "bytes")
        )
    document = {
        "benchmark": "drivers",
        "scheme": scheme,
        "python": platform.python_version(),
        "turns": turns,
        "quick": options.quick,
        "results": results,
        "bytes_per_message": round(weight),
        "longest_us": longest,
    }
    title = f"CPU time that the driver of {scheme} adds to its client library"
    write(document, figures, title, options.json, options.plot)
    return 0 if options.quick or all(verdicts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
