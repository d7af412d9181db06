"""granian as we run it: one of its workers in each of gunicorn's, so that both servers stop alike.

gunicorn's master starts and replaces the processes and hands on signals; granian's own master is not
used. Each process has a listening socket of its own, which the master keeps: who has connected while
a process is being replaced is served by its successor.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import select
import socket
import time
from typing import Any

from granian.http import HTTP1Settings
from gunicorn.workers.base import Worker as BaseWorker

from queueing.cli.granian_bridge import Bridge
from queueing.cli.hangups import HangUps
from queueing.cli.listening import BACKLOG
from queueing.cli.pauses import Pauses, connections
from queueing.cli.signals import obey_master
from queueing.wsgi import stop_waiting

log = logging.getLogger("queueing.server")

# What it says of its types does not hold for these.
futures: Any = importlib.import_module("granian._futures")
granian: Any = importlib.import_module("granian._granian")

LINGER_SECONDS = 2.0  # kept connections stay open, for a request that is on its way
IDLE_THREAD_SECONDS = 600
SPARE_THREADS = 64  # for bodies that are slow to come: nobody else waits for them
RUNTIME_THREADS = 1
HELPER_THREADS = 1


class Worker(BaseWorker):  # type: ignore[misc]  # gunicorn has no type hints
    client_timeout_seconds: float

    def init_signals(self) -> None:
        super().init_signals()
        obey_master(self)

    def handle_quit(self, sig: int, frame: Any) -> None:
        os._exit(0)  # threads that wait for clients would keep the interpreter

    def run(self) -> None:
        listener: socket.socket = self.sockets[0]
        port = listener.getsockname()[1]
        pauses = Pauses(self.client_timeout_seconds)
        pauses.watch(port)
        hang_ups = HangUps()
        hang_ups.watch(port)
        bridge = Bridge(self.wsgi, pauses, hang_ups)
        stop = self._serve(listener, bridge)
        while self.alive and self.ppid == os.getppid():
            self._pass(1.0)
        self._close(listener)
        bridge.closing = True
        stop_waiting()
        limit = time.monotonic() + self.cfg.graceful_timeout
        linger = min(limit, time.monotonic() + LINGER_SECONDS)
        while time.monotonic() < linger and any(True for _ in connections(port)):
            self._pass(0.02)
        stop.set()
        while not self._stopped and time.monotonic() < limit:
            self._pass(1.0)
        if not self._stopped:
            os._exit(0)
        self._loop.close()

    def _serve(self, listener: socket.socket, bridge: Bridge) -> Any:
        """Start granian; setting the signal stops it, `_stopped` says that all is answered."""
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # for answers that nobody takes
            patience = int(self.client_timeout_seconds * 1000)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)
        chatter = logging.getLogger("_granian")
        chatter.setLevel(max(logging.WARNING, logging.getLogger().level))
        self._stopped = False
        stop = granian.WorkerSignal()
        stop.add_cb(self._has_stopped)
        keep = self.cfg.keepalive
        http = HTTP1Settings(
            keep_alive=keep > 0,
            # granian counts a connection's idle time as time to send the next head.
            header_read_timeout=int(1000 * (keep or self.client_timeout_seconds)),
        )
        tls: tuple[Any, ...] = (False, None, None, None, "tls1.3", None, [], False)
        self._accepts_on = os.dup(listener.fileno())
        holder = granian.SocketHolder(self._accepts_on, False, BACKLOG)
        worker = granian.WSGIWorker(
            self.age,
            (None, holder),
            None,
            RUNTIME_THREADS,
            HELPER_THREADS,
            self.cfg.threads + SPARE_THREADS,
            IDLE_THREAD_SECONDS,
            self.cfg.worker_connections,
            "1",
            http,
            None,
            None,
            *tls,
            (None, None),
        )
        self._loop = asyncio.new_event_loop()
        scheduler = futures._new_cbscheduler(self._loop, bridge, impl_asyncio=True)
        worker.serve_mtr(scheduler, self._loop, stop)
        return stop

    def _close(self, listener: socket.socket) -> None:
        """Accept nobody any more, long before granian stops: that is what would close its socket."""
        with socket.socket() as nothing:
            os.dup2(nothing.fileno(), self._accepts_on)
        listener.close()

    def _has_stopped(self) -> None:
        self._stopped = True
        os.write(self.PIPE[1], b"\0")

    def _pass(self, seconds: float) -> None:
        """Let time pass, until a signal comes or granian has stopped; the master sees that we live."""
        self.notify()
        if select.select([self.PIPE[0]], (), (), seconds)[0]:
            os.read(self.PIPE[0], 4096)


def worker_class(client_timeout_seconds: float) -> type[Worker]:
    return type("GranianWorker", (Worker,), {"client_timeout_seconds": client_timeout_seconds})
