"""A node inside the test's process, behind a real socket: its clock is moved by hand.

What needs no clock belongs on a `tests.support.server.Server`: that is what users run.
"""

from __future__ import annotations

import threading
from io import BytesIO
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Any, Self
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

from queueing.config import Settings
from queueing.core.clock import ManualClock
from queueing.storage.contract import Storage
from queueing.wiring import build
from tests.support.http import Api, connect


class Node:
    """Serves until it is closed, with a thread per request. Closes the store that it was given."""

    def __init__(self, settings: Settings, storage: Storage, *, mounted_at: str = "") -> None:
        self.clock = ManualClock()
        self.storage = storage
        self._node = build(settings, storage=storage, clock=self.clock)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.set_app(self._node.app)
        self._server.base_environ["SCRIPT_NAME"] = mounted_at
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.http = connect(self.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.http.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._node.close()

    def api(self, **identity: Any) -> Api:
        """A new client of a new project, unless told otherwise."""
        return Api(self.http, **identity)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(WSGIRequestHandler):
    timeout = 60

    def handle(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            return
        environ = self.get_environ()
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(environ["SCRIPT_NAME"])
        # Read to its end: closing a connection with unread bytes in it loses the answer.
        body = BytesIO(self.rfile.read(int(environ.get("CONTENT_LENGTH") or 0)))
        handler = ServerHandler(body, self.wfile, self.get_stderr(), environ, multithread=True)
        handler.request_handler = self  # type: ignore[attr-defined]  # as wsgiref itself does
        handler.run(self.server.get_app())  # type: ignore[attr-defined]  # it is a WSGIServer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the app has its own access log."""
