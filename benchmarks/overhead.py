"""How much Python of our own a POST of one message takes, on top of a bare Falcon responder.

Both apps run in this process and are called as a WSGI server calls them. Ours is whole (checks,
JSON, service, answer) but for the storage driver, which does nothing. Figures are CPU time, medians
over short turns that alternate, so that whatever else the machine does meets all of them.

    python benchmarks/overhead.py
    python benchmarks/overhead.py --quick --json overhead.json
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, cast

import falcon
from figures import Figure, write
from rich.console import Console
from rich.progress import track
from rich.table import Table

from queueing.api.app import Services, create_app
from queueing.config import Settings
from queueing.core.clock import StoreClock
from queueing.core.models import NO_METADATA, Draft, Metadata, Posted, QueueRef, message_id
from queueing.logs import JsonFormatter, TextFormatter
from queueing.service.claims import Claims
from queueing.service.health import SelfTest
from queueing.service.messages import Messages
from queueing.service.queues import Queues
from queueing.service.readiness import Readiness
from queueing.storage.contract import Storage

TARGET = 40.0  # µs, with the access log off
PATH = "/v2/queues/demo/messages"
BODY = b'{"messages": [{"body": {"event": "started", "attempt": 1}, "ttl": 300}]}'

Env = dict[str, Any]
App = Callable[[Env, Callable[..., None]], object]


class NoMessages:
    def post(self, queue: QueueRef, drafts: list[Draft], *, token: str, **_rest: object) -> Posted:
        return Posted(tuple([message_id(token, index) for index in range(len(drafts))]))


class NoQueues:
    def fetch(self, queue: QueueRef) -> Metadata:
        return NO_METADATA


class NoStorage:
    """A driver that answers as if it had posted."""

    messages = NoMessages()
    queues = NoQueues()
    claims = None

    def time(self) -> float:
        return time.time()

    def ping(self) -> None:
        """It is always there."""


class Bare:
    """What Falcon does anyhow: route, read the body, answer as many bytes."""

    ANSWER = b'{"resources": ["' + PATH.encode() + b'/0123456789abcdef0123456789abcdef0000"]}'

    def on_post(self, req: falcon.Request, resp: falcon.Response, queue: str) -> None:
        req.stream.read(req.content_length or 0)
        resp.status = falcon.HTTP_201
        resp.data = self.ANSWER


def bare() -> App:
    app = falcon.App()
    app.add_route("/v2/queues/{queue}/messages", Bare())
    return cast(App, app)


def ours(**settings: Any) -> App:
    chosen = Settings(**settings)
    storage = cast(Storage, NoStorage())
    clock = StoreClock(storage.time)
    services = Services(
        queues=Queues(storage, clock, chosen),
        messages=Messages(storage, clock, chosen),
        claims=Claims(storage, clock, chosen),
        health=SelfTest(storage, clock),
        readiness=Readiness(storage.ping, bool),
        storage=storage,
        clock=clock,
    )
    return cast(App, create_app(services, chosen))


def logging_to_nowhere(app: App, formatter: logging.Formatter) -> App:
    """The app, with its access log formatted and written to the null device."""
    log = logging.getLogger("queueing.access")
    handler = logging.StreamHandler(open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # lives as long as we do
    handler.setFormatter(formatter)

    def logged(env: Env, start_response: Callable[..., None]) -> object:
        log.handlers[:] = [handler]
        return app(env, start_response)

    log.setLevel(logging.INFO)
    log.propagate = False
    return logged


def environ() -> Env:
    """A request as gunicorn hands it over, with what a client of ours sends."""
    return {
        "wsgi.errors": sys.stderr,
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.input": io.BytesIO(BODY),
        "wsgi.url_scheme": "http",
        "REQUEST_METHOD": "POST",
        "QUERY_STRING": "",
        "RAW_URI": PATH,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost:8888",
        "HTTP_USER_AGENT": "overhead",
        "HTTP_ACCEPT": "application/json",
        "HTTP_CLIENT_ID": "3381af92-2b9e-11e3-b191-71861300734c",
        "HTTP_X_PROJECT_ID": "acme",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(BODY)),
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8888",
        "PATH_INFO": PATH,
        "SCRIPT_NAME": "",
    }


def start_response(status: str, _headers: list[tuple[str, str]], _error: object = None) -> None:
    if not status.startswith("201 "):
        raise SystemExit(f"expected 201, got {status}")


def turn(app: App, requests: int) -> float:
    """Microseconds of this thread's CPU time per request."""
    environs = [environ() for _ in range(requests)]
    started = time.thread_time()
    for env in environs:
        app(env, start_response)
    return (time.thread_time() - started) / requests * 1e6


def measure(turns: int, requests: int, console: Console) -> dict[str, list[float]]:
    apps = {
        "bare Falcon": bare(),
        "access log off": ours(access_log=False),
        "text log": logging_to_nowhere(ours(log_format="text"), TextFormatter()),
        "JSON log": logging_to_nowhere(ours(log_format="json"), JsonFormatter()),
    }
    for app in apps.values():
        turn(app, requests)  # caches, compiled routes
    figures: dict[str, list[float]] = {name: [] for name in apps}
    for _ in track(range(turns), "Turns", console=console, transient=True):
        for name, app in apps.items():
            figures[name].append(turn(app, requests))
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=1000, help="turns of each app (%(default)s)")
    parser.add_argument("--requests", type=int, default=50, help="requests per turn (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="100 turns: about a second")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE, - for stdout")
    parser.add_argument("--plot", metavar="FILE", help="write an SVG")
    options = parser.parse_args()
    turns = 100 if options.quick else options.turns
    console = Console(stderr=options.json == "-")
    figures = measure(turns, options.requests, console)
    floor = figures["bare Falcon"]
    results = {
        name: {
            "median_us": round(statistics.median(values), 2),
            "least_us": round(min(values), 2),
            "over_bare_us": round(
                statistics.median(
                    [value - under for value, under in zip(values, floor, strict=True)]
                ),
                2,
            ),
        }
        for name, values in figures.items()
    }
    table = Table(title="POST of one message, store aside: µs of CPU per request")
    for column in ("app", "median", "least", "over bare Falcon"):
        table.add_column(column, justify="left" if column == "app" else "right")
    for name, row in results.items():
        over = "" if name == "bare Falcon" else f"{row['over_bare_us']:.1f}"
        table.add_row(name, f"{row['median_us']:.1f}", f"{row['least_us']:.1f}", over)
    console.print(table)
    over = results["access log off"]["over_bare_us"]
    verdict = "met" if over <= TARGET else "missed"
    console.print(
        f"Target: at most {TARGET:.0f} µs over bare Falcon with the access log off: {verdict}."
    )
    document = {
        "benchmark": "overhead",
        "turns": turns,
        "requests_per_turn": options.requests,
        "python": platform.python_version(),
        "falcon": falcon.__version__,
        "target_us": TARGET,
        "quick": options.quick,
        "results": results,
    }
    found = [
        Figure(
            f"POST, {name}, above bare Falcon",
            row["over_bare_us"],
            TARGET if name == "access log off" else None,
            most=True,
            unit="µs",
        )
        for name, row in results.items()
        if name != "bare Falcon"
    ]
    title = "CPU time of a POST without a store, above that of bare Falcon"
    write(document, found, title, options.json, options.plot)
    return 0 if over <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
