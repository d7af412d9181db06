"""A run from beginning to end: fill the queues, put them under load, drain and judge, clean up.

with Run(plan, Preparation(), processes=2) as run:
    result = run.carry_out(seconds=10)
"""

from __future__ import annotations

import multiprocessing
import secrets
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, NamedTuple, Self

from queueing.bench import process
from queueing.bench.clients import Clients
from queueing.bench.control import Control, Unusable
from queueing.bench.ledger import Ledger, Verdict
from queueing.bench.peers import split
from queueing.bench.plan import Plan, Preparation, Target
from queueing.bench.record import Record

PATIENCE_SECONDS = 15.0  # that a process may take to end a phase after it was told to
HOLDS = 3  # attempts at claiming what is to be claimed: Zaqar now and then claims what nobody gets
DRAINERS = 4  # connections that empty the queues at the end, at least
GLIMPSE_SECONDS = 0.2  # between two looks at queues that are being drained


class Dialect(NamedTuple):
    """What kind of queue a server is: who sets up its queues, and what clients say to it."""

    control: type[Control]
    clients: type[Clients]


V2 = Dialect(Control, Clients)
"""Zaqar's v2 API."""


class Progress(NamedTuple):
    """How far a phase is. `done` and `total` are messages or seconds, `total` is None if nobody knows."""

    phase: str
    done: float
    total: float | None
    posted: int
    delivered: int
    requests: int
    errors: int


@dataclass
class Load:
    """What one process of the load generator had to do itself."""

    cpu: float  # cores that it used, on average
    busy: float  # share of the time in which it did not wait for the server


@dataclass
class Result:
    """What a run measured; see `Record` for the counts."""

    record: Record
    loads: list[Load]
    connections: dict[int, int] = field(default_factory=dict)  # by process of the server
    interrupted: bool = False
    verdict: Verdict | None = None
    begun: float = 0.0  # epoch seconds

    @property
    def bottleneck(self) -> bool:
        """The load generator may have been what limited the rates."""
        return any(load.busy > 0.85 for load in self.loads)


class Run:
    """Processes that generate the load, from entering to leaving."""

    def __init__(
        self,
        plan: Plan,
        preparation: Preparation | None = None,
        *,
        processes: int = 1,
        nodes: Sequence[Target] = (),
        keep_queues: bool = False,
        dialect: Dialect | None = None,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        """:param nodes: of the same service; the processes take turns at them. None: the plan's target alone
        :param dialect: how the server is spoken to; importable by its name, since it goes to other processes
        :raises BadPlan: see `Plan.check`
        """
        plan.check()
        self._plan = plan
        self._preparation = preparation or Preparation()
        self._nodes = tuple(nodes) or (plan.target,)
        self._processes = max(processes, len(self._nodes))
        self._keep_queues = keep_queues
        self._progress = progress
        self._run = secrets.token_hex(3)
        self._children: list[tuple[SpawnProcess, Connection]] = []
        self._dialect = dialect or V2
        self._control = self._dialect.control(plan.target)
        self.interrupted = False
        self._created = False

    def __enter__(self) -> Self:
        """:raises Unusable: the server is not there, or does not do as one of the v2 API does"""
        try:
            for queue in self._plan.queues:
                self._control.create(queue)
                self._created = True
            self._start()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for _, pipe in self._children:
            try:
                pipe.send(("end", None))
            except OSError:
                pass  # it has ended
        for child, pipe in self._children:
            child.join(0.0 if kind else PATIENCE_SECONDS)
            if child.is_alive():
                child.kill()
                child.join()
            pipe.close()
        if self._created and not self._keep_queues:
            try:
                for queue in (*self._plan.queues, f"{self._plan.queues[0]}-waiters"):
                    self._control.delete(queue)
            except Unusable:
                pass  # what was measured is worth more than tidiness
        self._control.__exit__(kind, error, traceback)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for this process alone
        try:
            for index in range(self._processes):
                ours, theirs = context.Pipe()
                plan = replace(self._plan, target=self._nodes[index % len(self._nodes)])
                child = context.Process(
                    target=process.work,
                    args=(theirs, plan, self._run, index, self._dialect.clients),
                    daemon=True,
                )
                child.start()
                theirs.close()
                self._children.append((child, ours))
        finally:
            signal.signal(signal.SIGINT, before)
        for _, pipe in self._children:
            self._answer(pipe, "ready")

    def interrupt(self) -> None:
        """End the run soon: what was measured so far is the result. May be called by a signal handler."""
        self.interrupted = True

    def prepare(self) -> None:
        """Put into the queues what is to stand there before the load.

        :raises Unusable: not as many messages are claimed as should be
        """
        wanted = self._preparation.claimed
        if wanted:
            others, claimed = [("hold", 0)] * (self._processes - 1), 0
            for _ in range(HOLDS):
                missing = wanted - claimed
                if missing and not self.interrupted:
                    records, _ = self._phase("hold", [("hold", missing), *others], total=missing)
                    claimed += sum(record.delivered for record in records)
            if claimed < wanted and not self.interrupted:
                raise Unusable(
                    f"{wanted} messages were to be claimed before the load, {claimed} are"
                )
        if self._preparation.depth:
            self.fill(self._preparation.depth)

    def fill(self, number: int) -> None:
        """Post so many messages."""
        self._divide("fill", "fill", number)

    def load(
        self, *, seconds: float | None = None, phase: str = "load", unlimited: bool = False
    ) -> Result:
        """Put the server under load: for so long, or until the plan's messages are posted.

        :param unlimited: post on, whatever number of messages the plan gives
        """
        whole = replace(self._plan, messages=None) if unlimited else self._plan
        plans = [whole.share(index, self._processes) for index in range(self._processes)]
        posting = None
        if whole.messages is not None:  # what does not post goes on until the posting is done
            posting = {i for i, plan in enumerate(plans) if plan.producers + plan.cyclers}
        begun = time.time()
        records, connections = self._phase(
            phase,
            [("load", plan) for plan in plans],
            seconds=seconds,
            total=whole.messages,
            posting=posting,
            look_at_connections=True,
        )
        record = Record()
        for one in records:
            record.merge(one)
        loads = [
            Load(
                one.cpu_seconds / max(one.seconds, 1e-9), one.busy_seconds / max(one.seconds, 1e-9)
            )
            for one in records
        ]
        return Result(record, loads, connections, self.interrupted, begun=begun)

    def drain(self, seconds: float) -> bool:
        """Claim and delete what is left, for so long at most; True if the queues are empty now.

        What the preparation claimed does not count.
        """
        workers = max(self._plan.workers, self._processes, DRAINERS)
        plan = replace(
            self._plan,
            workers=workers,
            producers=0,
            cyclers=0,
            waiters=0,
            messages=None,
            wait=0,
            finish="bulk" if self._plan.finish == "bulk" else "each",
        )
        commands = [
            ("load", plan.share(index, self._processes)) for index in range(self._processes)
        ]
        self._phase("drain", commands, seconds=seconds, until=self._empty)
        return self._empty()

    def verdict(self, *, complete: bool) -> Verdict:
        """What became of all messages so far. `complete`: the queues are empty."""
        self._tell(("ledger", None))
        ledger = Ledger()
        for _, pipe in self._children:
            ledger.merge(self._answer(pipe, "ledger"))
        return ledger.verdict(complete=complete)

    def _empty(self) -> bool:
        free = claimed = 0
        try:
            for queue in self._plan.queues:
                here = self._control.size(queue)
                free, claimed = free + here[0], claimed + here[1]
        except Unusable:
            return False
        return free == 0 and claimed <= self._preparation.claimed

    def _divide(self, phase: str, command: str, number: int) -> None:
        commands = [(command, part) for part in process.parts(number, self._processes)]
        self._phase(phase, commands, total=number)

    def _phase(
        self,
        name: str,
        commands: list[tuple[str, Any]],
        *,
        seconds: float | None = None,
        total: int | None = None,
        until: Callable[[], bool] | None = None,
        posting: set[int] | None = None,
        look_at_connections: bool = False,
    ) -> tuple[list[Record], dict[int, int]]:
        """Let all processes carry out their command, until all are done.

        :param seconds: until they are told to stop
        :param until: asked now and then; once it is true they are told to stop
        :param posting: processes that post; once they have posted all, all are told to stop
        """
        for (_, pipe), command in zip(self._children, commands, strict=True):
            self._send(pipe, command)
        pipes = {pipe: index for index, (_, pipe) in enumerate(self._children)}
        running, records, ticks = dict(pipes), dict.fromkeys(pipes.values(), Record()), {}
        began = glimpsed = time.monotonic()
        told_at = 0.0
        connections: dict[int, int] = {}
        while running:
            ready = set(wait(list(running), timeout=GLIMPSE_SECONDS))
            for pipe in [pipe for pipe in running if pipe in ready]:
                kind, value = self._receive(pipe)
                index = pipes[pipe]
                if kind == "tick":
                    ticks[index] = value
                    continue
                if posting:
                    posting.discard(index)
                if kind == "done":
                    records[index] = value
                    del running[pipe]
            now = time.monotonic()
            sums = [sum(column) for column in zip(*ticks.values(), strict=True)] or [0] * 4
            done = sums[0] if total else now - began
            self._progress(Progress(name, done, total or seconds, *sums))
            if not told_at:
                if look_at_connections and done >= (total or seconds or 0) / 2:
                    look_at_connections = False
                    for node in self._nodes:
                        connections |= split(node.host, node.port)
                over = (seconds is not None and now - began >= seconds) or self.interrupted
                if until and not over and now - glimpsed >= GLIMPSE_SECONDS:
                    glimpsed, over = now, until()
                if over or posting == set():
                    told_at = now
                    for pipe in running:
                        self._send(pipe, ("stop", None))
            elif now - told_at > PATIENCE_SECONDS + self._plan.target.timeout_seconds:
                raise Unusable("a process of the load generator does not end")
        return [records[index] for index in range(len(self._children))], connections

    def _tell(self, command: tuple[str, Any]) -> None:
        for _, pipe in self._children:
            self._send(pipe, command)

    def _answer(self, pipe: Connection, kind: str) -> Any:
        while True:
            came, value = self._receive(pipe)
            if came == kind:
                return value

    def _send(self, pipe: Connection, command: tuple[str, Any]) -> None:
        try:
            pipe.send(command)
        except OSError:
            raise Unusable("a process of the load generator has ended before its time") from None

    def _receive(self, pipe: Connection) -> tuple[str, Any]:
        try:
            received: tuple[str, Any] = pipe.recv()
        except (EOFError, OSError):
            raise Unusable("a process of the load generator has ended before its time") from None
        return received
