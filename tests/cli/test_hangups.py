"""Clients that hang up give up their place among those who wait; those who stay keep theirs."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import httpx
import pytest

from queueing.cli.hangups import Client, HangUps, without_connection
from tests.support.server import DEADLINE, Server

CLAIM = b"POST /v2/queues/q/claims?wait=600 HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"
PATIENT = {"max_wait_seconds": "600"}


def wait(server: Server) -> socket.socket:
    """A connection with a claim that waits."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)
    connection.sendall(CLAIM)
    return connection


def is_refused(server: Server) -> bool:
    """Whether there is no place to wait."""
    url = f"{server.url}/v2/queues/q/claims?wait=0.1"
    return "Retry-After" in httpx.post(url, timeout=DEADLINE).headers


def wait_until(condition: object, server: Server) -> None:
    assert callable(condition)
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, server.output()
        time.sleep(0.05)


@pytest.mark.usefixtures("web_server")
def test_who_hangs_up_gives_up_its_place_and_claims_nothing(tmp_path: Path) -> None:
    with Server(tmp_path, max_waiters="1", **PATIENT) as server:
        with wait(server):
            wait_until(lambda: is_refused(server), server)
        wait_until(lambda: not is_refused(server), server)
        httpx.post(f"{server.url}/v2/queues/q/messages", json={"messages": [{"body": 1}]})
        claimed = httpx.post(f"{server.url}/v2/queues/q/claims", timeout=DEADLINE).json()
        assert [message["body"] for message in claimed["messages"]] == [1]


@pytest.mark.usefixtures("web_server")
def test_who_stays_goes_on_waiting_beside_others_who_hang_up(tmp_path: Path) -> None:
    with Server(tmp_path, max_waiters="12", **PATIENT) as server:
        stay, leave = [], []
        for crowd in (stay, leave, stay, leave):
            crowd += [wait(server) for _ in range(3)]
            time.sleep(0.1)  # apart, so that it shows who is who
        wait_until(lambda: is_refused(server), server)
        for connection in leave:
            connection.close()
        wait_until(lambda: not is_refused(server), server)
        more = [wait(server) for _ in range(6)]
        wait_until(lambda: is_refused(server), server)
        for connection in (*stay, *more):
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)
            connection.close()


HERE = "192.0.2.1"


def began(*times: float, remote: str = HERE) -> list[Client]:
    clients = []
    for at in times:
        client = Client(HangUps(), remote)
        client.began = at
        clients.append(client)
    return clients


@pytest.mark.parametrize(
    ("waiting", "connections", "lost"),
    [
        ([10], [10], []),
        ([10], [9.7], []),
        ([10], [10.005], []),  # by the ticks of the kernel
        ([10], [], [10]),
        ([10], [11], [10]),  # somebody who came later
        ([10], [2], [10]),  # somebody who has been here for long, and asks nothing
        ([10, 20, 30], [9.9, 29.9], [20]),
        ([10, 20, 30], [19.9, 29.9], [10]),
        ([10, 10.01], [9.99, 10], []),
        ([10, 10.01], [9.995], [10.01]),
        ([11, 12], [9.9, 10.9], []),  # both late
    ],
)
def test_a_connection_belongs_to_the_request_that_began_after_its_last_bytes(
    waiting: list[float], connections: list[float], lost: list[float]
) -> None:
    found = without_connection(began(*waiting), [(HERE, at) for at in connections])
    assert [client.began for client in found] == lost


@pytest.mark.parametrize("spelling", ["::ffff:192.0.2.1", "192.0.2.1", "0:0:0:0:0:ffff:c000:0201"])
def test_an_address_is_known_however_it_is_spelt(spelling: str) -> None:
    assert not list(without_connection(began(10, remote=spelling), [(HERE, 10)]))


def test_another_address_is_somebody_else() -> None:
    [client] = without_connection(began(10), [("192.0.2.2", 10)])
    assert client.remote == HERE
