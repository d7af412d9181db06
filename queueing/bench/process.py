"""One process of the load generator: carries out phases as it is told over a pipe, and reports.

It says `"ready", None` once it is, then gets `(command, argument)` and answers `(kind, value)`:

    "hold", number          claim so many messages for good, after posting them    → "done", Record
    "fill", number          post so many messages                                  → "done", Record
    "load", plan            what the plan says, until told to stop                 → "done", Record
    "stop", None            end the phase: no more requests                        (in a phase)
    "ledger", None          what became of the messages                            → "ledger", Ledger
    "end", None             end the process

While a phase runs it sends `"tick", (posted, delivered, requests, errors)` a few times a second, and
`"posted", None` once all that the plan has it post is posted, though others work on.
"""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection
from typing import Any

from queueing.bench.clients import Clients
from queueing.bench.loop import Client, Loop
from queueing.bench.plan import Plan

PRODUCERS = 100_000  # numbers of producers that a process has for itself
PREPARING = 4  # connections of a process that fills queues
LARGEST_POST = 200_000  # bytes


def work(pipe: Connection, plan: Plan, run: str, index: int, clients: type[Clients]) -> None:
    """Carry out what comes over the pipe until it says so, or until it is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):  # often sent to all: the first process decides
        signal.signal(number, signal.SIG_IGN)
    try:
        _Worker(pipe, plan, run, index, clients).serve()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(1)  # the first process is gone, so nobody wants to know


class _Worker:
    def __init__(
        self, pipe: Connection, plan: Plan, run: str, index: int, clients: type[Clients]
    ) -> None:
        self._pipe = pipe
        self._loop = Loop(plan.target)
        self._loop.watch(pipe.fileno(), self._heard)
        self._clients = clients(plan, run, index * PRODUCERS, self._loop)
        self._batch = max(1, min(clients.largest_post, LARGEST_POST // plan.size))

    def serve(self) -> None:
        self._pipe.send(("ready", None))
        while True:
            command, argument = self._pipe.recv()
            match command:
                case "hold":
                    self._run(self._posting(argument, held=True))
                    # One after the other: some servers give nothing to claims that meet at a queue.
                    self._run([self._clients.holder(argument)])
                    self._done()
                case "fill":
                    self._run(self._posting(argument))
                    self._done()
                case "load":
                    self._run(self._clients.of(argument, self._posted))
                    self._done()
                case "ledger":
                    self._pipe.send(("ledger", self._clients.ledger))
                case "end":
                    return

    def _run(self, clients: list[Client]) -> None:
        self._loop.run(clients, tick=self._tick)

    def _done(self) -> None:
        self._clients.stopping = False
        self._pipe.send(("done", self._loop.record))

    def _posting(self, number: int, *, held: bool = False) -> list[Client]:
        return [
            self._clients.producer(part, self._batch, held=held) for part in parts(number) if part
        ]

    def _heard(self) -> None:
        """In a phase there is one thing to hear."""
        self._pipe.recv()
        self._clients.stopping = True
        self._loop.abandon_idle()

    def _posted(self) -> None:
        self._pipe.send(("posted", None))

    def _tick(self) -> None:
        record = self._loop.record
        requests = sum(one.count for one in record.times.values())
        report: tuple[str, Any] = (
            "tick",
            (record.posted, record.delivered, requests, record.errors.total()),
        )
        self._pipe.send(report)


def parts(number: int, of: int = PREPARING) -> list[int]:
    """A number in parts that differ by one at most."""
    return [number * (i + 1) // of - number * i // of for i in range(of)]
