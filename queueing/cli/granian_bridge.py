"""What stands between granian and the app: WSGI, and the limits that granian does not have.

What is refused here is refused by gunicorn too, with the same status and in the same shape. Chunked
bodies are the exception: granian hands out one that broke off as if it were whole, so none is taken.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol
from wsgiref.types import WSGIApplication

from queueing.cli import refusals
from queueing.cli.hangups import Client, HangUps
from queueing.cli.pauses import Pauses

log = logging.getLogger("queueing.server")

ENVIRONMENT = {
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "granian",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": True,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}
REQUEST_LINE = len("  HTTP/1.1") + len("?")


class Exchange(Protocol):
    """One request of granian, to be answered once."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...
    def response_iter(
        self, status: int, headers: list[tuple[str, str]], body: Iterator[bytes]
    ) -> None: ...


class Bridge:
    """What granian calls with each request, in a thread of its own."""

    closing = False
    """Whether answers ask to close the connection: the process is about to end."""

    def __init__(self, app: WSGIApplication, pauses: Pauses, hang_ups: HangUps) -> None:
        self._app = app
        self._pauses = pauses
        self._hang_ups = hang_ups

    def __call__(self, exchange: Exchange, environ: dict[str, Any]) -> int:
        refused = refuses(environ)
        if refused is not None:
            status, why = refused
            log.info("%s refused: %s", environ.get("REMOTE_ADDR", "-"), why)
            exchange.response_bytes(int(status[:3]), *refusals.refusal(status, why))
            return int(status[:3])
        environ.update(ENVIRONMENT)
        if "CONTENT_LENGTH" in environ:
            environ["wsgi.input"] = Body(environ, self._pauses)
        if "wait=" in environ["QUERY_STRING"]:
            environ["queueing.connection"] = Client(self._hang_ups, environ["REMOTE_ADDR"])
        start = Start()
        try:
            answer = self._app(environ, start)  # type: ignore[arg-type]  # nobody calls `write`
        # Whatever it is, this is where a server has to answer for the app, as gunicorn does by itself.
        except Exception as error:
            log.error("a request failed outside the app", exc_info=error)
            headers, body = refusals.answer({"title": "Internal server error"})
            exchange.response_bytes(500, headers, body)
            return 500
        if self.closing:
            start.headers = [*start.headers, ("Connection", "close")]
        if type(answer) is list:
            exchange.response_bytes(start.status, start.headers, b"".join(answer))
        else:
            exchange.response_iter(start.status, start.headers, Pieces(answer))
        return start.status


class Start:
    """`start_response`."""

    __slots__ = ("headers", "status")

    def __call__(
        self, status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> None:
        self.status = int(status[:3])
        self.headers = headers


class Body:
    """A request's body of known length, while which is read the client is watched."""

    __slots__ = ("_environ", "_inner", "_pauses")

    def __init__(self, environ: dict[str, Any], pauses: Pauses) -> None:
        self._environ = environ
        self._inner = environ["wsgi.input"]
        self._pauses = pauses

    def read(self, size: int) -> bytes:
        token = self._pauses.begin(self._environ["REMOTE_ADDR"])
        try:
            read: bytes = self._inner.read(size)
        finally:
            self._pauses.end(token)
        return read


class Pieces:
    """An answer in pieces, as granian takes it. It calls `close` when the last one is on its way."""

    def __init__(self, answer: Iterable[bytes]) -> None:
        self._pieces = iter(answer)
        self.close: Callable[[], None] = getattr(answer, "close", _nothing)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)


def refuses(environ: dict[str, Any]) -> tuple[str, str] | None:
    """Status and reason, if the app shall not see this request."""
    method = environ["REQUEST_METHOD"]
    if method != method.upper():
        return refusals.BAD_REQUEST, f"Methods are in upper case. Got {method[:100]!r}."
    line = len(method) + len(environ["PATH_INFO"]) + len(environ["QUERY_STRING"])
    if line + REQUEST_LINE > refusals.LONGEST_REQUEST_LINE:
        most = refusals.LONGEST_REQUEST_LINE
        return refusals.URI_TOO_LONG, f"The request line may not exceed {most} bytes."
    for name, value in environ.items():
        if type(value) is str and len(value) > refusals.LARGEST_HEADER - len(name):
            most = refusals.LARGEST_HEADER
            return refusals.HEADERS_TOO_LARGE, f"A header line may not exceed {most} bytes."
    if "HTTP_TRANSFER_ENCODING" in environ:
        return refusals.LENGTH_REQUIRED, "The body's length must be given. Got a chunked body."
    expect = environ.get("HTTP_EXPECT")
    if expect is not None and expect.lower() != "100-continue":
        return refusals.EXPECTATION_FAILED, f"Expect must be 100-continue. Got {expect[:100]!r}."
    return None


def _nothing() -> None:
    """What closing is where there is nothing to close."""
