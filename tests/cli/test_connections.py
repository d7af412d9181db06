"""Odd clients are answered or let go, and nobody waits for them."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from tests.cli.test_serving import children
from tests.support.server import DEADLINE, Server

pytestmark = pytest.mark.usefixtures("web_server")


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)


def everything(connection: socket.socket) -> bytes:
    """What comes until the other end closes."""
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


@pytest.fixture(scope="module")
def server(web_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("odd")) as server:
        yield server


@pytest.mark.parametrize(
    ("request_line", "headers", "status", "title"),
    [
        ("GET /v2/ping HTTP/1.1", f"X-Big: {'x' * 65536}", 431, "431 Request Header Fields Too Large"),
        ("GET /v2/ping HTTP/1.1", "\r\n".join(["X-Many: 1"] * 200), 431, "431 Request Header Fields Too Large"),
        (f"GET /{'x' * 65536} HTTP/1.1", "X-Small: 1", 414, "414 URI Too Long"),
        ("GET /v2/ping HTTP/9.9", "X-Small: 1", 400, "Bad request"),
        ("gEt /v2/ping HTTP/1.1", "X-Small: 1", 400, "Bad request"),
        ("\x00\x01\x02", "X-Small: 1", 400, "Bad request"),
        ("GET /v2/ping HTTP/1.1", "Two Words: 1", 400, "Bad request"),
        ("GET /v2/ping HTTP/1.1", "X-Null: a\x00b", 400, "Bad request"),
        ("POST /v2/queues/q/messages HTTP/1.1", "Content-Length: -5", 400, "Bad request"),
        ("POST /v2/queues/q/messages HTTP/1.1", "Content-Length: 5\r\nContent-Length: 6", 400, "Bad request"),
        ("POST /v2/queues/q/messages HTTP/1.1", "Transfer-Encoding: gzip", 400, "Bad request"),
        ("POST /v2/queues/q/messages HTTP/1.1", "Content-Length: 5\r\nExpect: wonders", 417, "417 Expectation Failed"),
    ],
)  # fmt: skip
def test_what_is_no_request_is_answered_in_the_shape_of_other_errors_and_the_connection_closed(
    web_server: str, server: Server, request_line: str, headers: str, status: int, title: str
) -> None:
    with connect(server) as connection:
        connection.sendall(f"{request_line}\r\nHost: test\r\n{headers}\r\n\r\n".encode("latin-1"))
        head, _, body = everything(connection).partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        if web_server == "granian" and b"granian" not in head:
            assert b"\r\ncontent-length: 0\r\n" in head and not body  # it never came to us
        else:
            assert re.search(
                rb"\r\nX-OpenStack-Request-ID: req-[0-9a-f-]{36}\r\n", head, re.IGNORECASE
            )
            assert re.search(rb"\r\nContent-Type: application/json", head, re.IGNORECASE)
            document = json.loads(body)
            assert document["title"] == title
            assert document["description"]
        assert httpx.get(f"{server.url}/", timeout=DEADLINE).status_code == 300
        assert "Traceback" not in server.output()


@pytest.mark.parametrize(
    "half",
    [
        b"GET /v2/ping HT",
        b"GET /v2/ping HTTP/1.1\r\nHost: test\r\n",
        b"POST /v2/queues/q/messages HTTP/1.1\r\nHost: test\r\nContent-Length: 50\r\n\r\n{",
        b"POST /v2/queues/q/messages HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
)
def test_clients_that_pause_in_the_middle_of_a_request_do_not_hold_the_threads_for_ever(
    tmp_path: Path, half: bytes
) -> None:
    with (
        Server(
            tmp_path, threads="2", client_timeout_seconds="0.5", keep_alive_seconds="1"
        ) as server,
        ExitStack() as open_connections,
    ):
        paused = [open_connections.enter_context(connect(server)) for _ in range(4)]
        for connection in paused:
            connection.sendall(half)
        assert httpx.get(f"{server.url}/", timeout=DEADLINE).status_code == 300
        for connection in paused:
            assert everything(connection)[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 411")
        assert "Traceback" not in server.output()
        server.stop()


def test_clients_that_do_not_close_do_not_hold_up_others(tmp_path: Path) -> None:
    with (
        Server(tmp_path, threads="64") as server,
        ExitStack() as open_connections,
    ):
        # The server waits a moment for each of them; one after the other would be beyond the deadline.
        for _ in range(50):
            lazy = open_connections.enter_context(connect(server))
            lazy.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        assert httpx.get(f"{server.url}/", timeout=DEADLINE).status_code == 300


def test_a_kept_connection_serves_many_requests(server: Server) -> None:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
    connection.connect()
    first = connection.sock
    for _ in range(100):
        connection.request("GET", "/v2/queues")
        assert connection.getresponse().read() == b'{"queues": [], "links": []}'
        assert connection.sock is first
    connection.close()


def sockets(pid: int) -> int:
    """How many sockets a process has open."""
    folder = Path(f"/proc/{pid}/fd")
    return sum(os.readlink(folder / name).startswith("socket:") for name in os.listdir(folder))


@pytest.mark.gunicorn_only
def test_workers_have_as_many_connections_as_each_other(tmp_path: Path) -> None:
    with (
        Server(tmp_path, server="gunicorn", workers="2") as server,
        ExitStack() as open_connections,
    ):
        deadline = time.monotonic() + DEADLINE
        while len(workers := children(server.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        before = [sockets(pid) for pid in workers]
        for _ in range(20):
            client = open_connections.enter_context(httpx.Client(timeout=DEADLINE))
            assert client.get(f"{server.url}/").status_code == 300
        shares = [sockets(pid) - old for pid, old in zip(workers, before, strict=True)]
        assert abs(shares[0] - shares[1]) <= 6, shares
