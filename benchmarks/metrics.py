"""What metrics cost a request: `python -m benchmarks.metrics`.

CPU time of the same calls in one process, with the recorder and without, in turn; medians. A post is one pass
through the middleware and one call of the store; the store here answers at once, so that only the rest counts.
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any
from wsgiref.util import setup_testing_defaults

import falcon

from queueing.api.request import Request
from queueing.core.models import Posted, QueueRef
from queueing.metrics.place import Place
from queueing.metrics.recorder import Recorder

CALLS = 20_000
ROUNDS = 15
QUEUE = QueueRef("default", "orders")
POSTED = Posted(("0" * 36,))


class Nothing:
    def on_get(self, _req: Request, resp: falcon.Response) -> None:
        resp.status = falcon.HTTP_204


def app(*middleware: Any) -> Callable[[], object]:
    made = falcon.App(request_type=Request, middleware=list(middleware))
    made.add_route("/v2/nothing", Nothing())
    environ: dict[str, Any] = {"PATH_INFO": "/v2/nothing"}
    setup_testing_defaults(environ)
    return lambda: made(dict(environ), lambda *_: None)


def post(_queue: QueueRef, _drafts: object, **_: object) -> Posted:
    return POSTED


def cost(without: Callable[[], object], with_it: Callable[[], object]) -> float:
    """How much more the second takes, in microseconds of CPU time per call."""
    differences = []
    for _ in range(ROUNDS):
        taken = []
        for call in (without, with_it):
            started = process_time()
            for _ in range(CALLS):
                call()
            taken.append(process_time() - started)
        differences.append((taken[1] - taken[0]) / CALLS * 1e6)
    return median(differences)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, socket.socket() as nobody:
        recorder = Recorder(Place(Path(directory), nobody), most_queues=100)
        counted = recorder.around("messages.post", post)
        measured = {
            "request_microseconds": cost(app(), app(recorder)),
            "store_call_microseconds": cost(
                lambda: post(QUEUE, None, now=0.0), lambda: counted(QUEUE, None, now=0.0)
            ),
        }
        recorder.close()
    measured["post_microseconds"] = sum(measured.values())
    json.dump({name: round(value, 2) for name, value in measured.items()}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
