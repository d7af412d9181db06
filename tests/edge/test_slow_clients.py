"""Clients that take their time, or take up room, cost the others nothing: neither threads nor connections."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest

from tests.support.server import COMMAND, DEADLINE, Server

pytestmark = pytest.mark.usefixtures("web_server")

SLOW = 40  # many more than threads
IDLE = 600  # more than the process may have files open
ONE_MESSAGE = {"messages": [{"body": 1}]}
POST = b"POST /v2/queues/slow/messages HTTP/1.1\r\nHost: test\r\n"

BEGUN = {
    "nothing": b"",
    "some of a head": POST + b"X-Slow: ",
    "some of a body": POST + b'Content-Length: 27\r\n\r\n{"messages"',
    "some of a body that it was asked for": POST + b"Content-Length: 27\r\nExpect: 100-continue\r\n\r\n",
    "some empty lines": b"\r\n\r\n",
}  # fmt: skip
OF_GUNICORN = {
    "some of a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n1b\r\n{",
    "some of the last chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n",
}


@contextmanager
def attackers(server: Server, count: int, begun: bytes) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        connections = []
        for number in range(count):
            connection = stack.enter_context(socket.socket())
            connection.settimeout(DEADLINE)
            connection.bind((f"127.0.0.{2 + number % 8}", 0))
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(begun)
            connections.append(connection)
        yield connections


def assert_others_are_served(server: Server) -> None:
    for _ in range(5):
        posted = httpx.post(
            f"{server.url}/v2/queues/q/messages", json=ONE_MESSAGE, timeout=DEADLINE
        )
        assert posted.status_code == 201


def status(connection: socket.socket) -> int:
    """Of the next answer, which is read to its end."""
    answer = HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer.status


@pytest.mark.parametrize(
    "begun",
    [
        *(pytest.param(sent, id=name) for name, sent in BEGUN.items()),
        *(
            pytest.param(sent, id=name, marks=pytest.mark.gunicorn_only)
            for name, sent in OF_GUNICORN.items()
        ),
    ],
)
def test_who_is_slow_holds_no_thread_that_others_need(tmp_path: Path, begun: bytes) -> None:
    patient = {"client_timeout_seconds": "600", "keep_alive_seconds": "600"}
    with (
        Server(tmp_path, threads="2", max_waiters="0", **patient) as server,
        attackers(server, SLOW, begun),
    ):
        assert_others_are_served(server)


@pytest.mark.gunicorn_only
@pytest.mark.parametrize("begun", [b"", b"GET /v2/health/live HTTP/1.1\r\nHost: t\r\n\r\n"])
def test_idle_connections_leave_room_for_others(tmp_path: Path, begun: bytes) -> None:
    few = ("prlimit", "--nofile=400:400", *COMMAND)
    with (
        Server(tmp_path, server="gunicorn", max_waiters="0", command=few) as server,
        attackers(server, IDLE, begun),
    ):
        assert_others_are_served(server)
        assert "Traceback" not in server.output()


def test_a_request_that_comes_in_small_pieces_is_served(tmp_path: Path) -> None:
    sent = POST + b'Content-Length: 27\r\n\r\n{"messages": [{"body": 1}]}'
    with (
        Server(tmp_path) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as connection,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):
            for byte in sent:
                connection.send(bytes([byte]))
            assert status(connection) == 201


@pytest.mark.gunicorn_only
def test_chunks_in_small_pieces_with_a_trailer_are_served(tmp_path: Path) -> None:
    body = b'1b\r\n{"messages": [{"body": 1}]}\r\n0\r\nX-Trailer: 1\r\n\r\n'
    with (
        Server(tmp_path, server="gunicorn") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as connection,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):
            for byte in POST + b"Transfer-Encoding: chunked\r\n\r\n" + body:
                connection.send(bytes([byte]))
            assert status(connection) == 201


@pytest.mark.gunicorn_only
def test_several_requests_at_once_are_answered_in_turn(tmp_path: Path) -> None:
    sent = POST + b'Content-Length: 27\r\n\r\n{"messages": [{"body": 1}]}'
    last = sent.replace(b"Host: test", b"Host: test\r\nConnection: close")
    with (
        Server(tmp_path, server="gunicorn") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as connection,
    ):
        connection.sendall(sent * 9 + last)
        received = b""
        while part := connection.recv(65536):
            received += part
        assert received.count(b"HTTP/1.1 201 ") == 10
