"""`/metrics` on a port of its own: whichever worker process gets the connection answers for its node.

Not on the API's port: that is for tenants, and a balancer would give each scrape to another node.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from queueing import __version__
from queueing.metrics.depths import Depths
from queueing.metrics.families import BUILD, WORKERS
from queueing.metrics.place import Place
from queueing.metrics.recorder import Recorder
from queueing.service.waiting import WaitingRoom
from queueing.storage.contract import Storage

log = logging.getLogger(__name__)

SAMPLE_SECONDS: Final = 1.0
"""How old what processes say of their waiters and connections may be."""

CLIENT_SECONDS: Final = 5.0
"""How long a client may take over a request: others wait behind it."""

PATH: Final = "/metrics"


class Exporter:
    """Answers scrapes and takes samples, in two threads of this process, from `start` to `stop`, which
    ends counting too."""

    def __init__(
        self, place: Place, recorder: Recorder, room: WaitingRoom, storage: Storage, depths: Depths
    ) -> None:
        self._recorder = recorder
        self._room = room
        self._storage = storage
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_OfNode(place))  # first: it drops what the dead left
        registry.register(depths)
        registry.register(MultiProcessCollector(None, str(place.directory)))
        self._scrape: Any = make_wsgi_app(registry)
        self._server = _Server(place.listener, self._answer)
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True),
            threading.Thread(target=self._sample, name="samples", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._server.shutdown()
        for thread in self._threads:
            thread.join()
        self._recorder.close()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"Metrics are at /metrics.\n"]
        answer: Iterable[bytes] = self._scrape(environ, start_response)
        return answer

    def _sample(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS):
            self._recorder.sample(self._room, self._storage)


class _OfNode:
    """What is known of the node as a whole."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def collect(self) -> Iterator[Metric]:
        workers = GaugeMetricFamily(WORKERS.name, WORKERS.help)
        workers.add_metric([], self._place.workers())
        yield workers
        build = GaugeMetricFamily(BUILD.name, BUILD.help, labels=BUILD.labels)
        build.add_metric([__version__], 1)
        yield build


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


class _Server(WSGIServer):
    """Accepts at a socket that listens already, and that other processes accept at too."""

    def __init__(self, listener: socket.socket, app: Any) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()[:2]
        self.setup_environ()
        self.set_app(app)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.info("a scrape broke off: %r", sys.exc_info()[1])
