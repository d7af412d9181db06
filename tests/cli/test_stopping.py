"""What is in flight is finished, what was acknowledged is kept, and the exit code is 0."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.cli.test_serving import children
from tests.support.freezing import freeze, thaw
from tests.support.server import COMMAND, DEADLINE, Server, environment, with_hangup

pytestmark = pytest.mark.usefixtures("web_server")

BODY = b'{"messages": [{"body": "in flight"}]}'


class HalfPosted:
    """A post that is in flight for certain: its body was asked for and has not been sent."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)
        self._socket.sendall(
            b"POST /v2/queues/demo/messages HTTP/1.1\r\nHost: test\r\n"
            b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY)
        )
        assert self._socket.recv(1024).startswith(b"HTTP/1.1 100 ")

    def finish(self) -> bytes:
        """Send the body; what comes back until the connection is closed, nothing if it was cut."""
        answer = b""
        with self._socket as connection:
            try:
                connection.sendall(BODY)
                while part := connection.recv(65536):
                    answer += part
            except ConnectionError:
                pass
        return answer


def bodies(server: Server) -> list[object]:
    listing = httpx.get(f"{server.url}/v2/queues/demo/messages", timeout=DEADLINE).json()
    return [message["body"] for message in listing["messages"]]


def wait_until_it_refuses_connections(server: Server) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE).close()
        except ConnectionError:
            return
        time.sleep(0.02)
    raise AssertionError(server.output())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_is_finished_before_the_server_ends(
    tmp_path: Path, number: signal.Signals
) -> None:
    with Server(tmp_path) as server:
        post = HalfPosted(server)
        # To all its processes, as a terminal does with Ctrl-C.
        os.killpg(server.pid, number)
        wait_until_it_refuses_connections(server)
        answer = post.finish()
        assert answer.startswith(b"HTTP/1.1 201 ")
        assert server.wait() == 0
        assert "Traceback" not in server.output()
        server.start()
        assert bodies(server) == ["in flight"]


def wait_until_told_to_stop(worker: int) -> None:
    """Until a signal to stop waits for a process that does not run."""
    told = 1 << (signal.SIGTERM - 1) | 1 << (signal.SIGUSR2 - 1)
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        lines = Path(f"/proc/{worker}/status").read_text().splitlines()
        (waiting,) = [line.split()[1] for line in lines if line.startswith("ShdPnd:")]
        if int(waiting, 16) & told:
            return
        time.sleep(0.01)
    raise AssertionError(f"{worker} was not told to stop")


@pytest.mark.gunicorn_only
def test_who_connected_before_the_stop_is_served_though_others_have_hung_up(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        (worker,) = children(server.pid)
        freeze(worker)
        for _ in range(10):
            socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE).close()
        with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            server.signal(signal.SIGTERM)
            wait_until_told_to_stop(worker)
            thaw(worker)
            assert client.recv(1024).startswith(b"HTTP/1.1 300 ")
        assert server.wait() == 0


def test_a_closed_terminal_stops_it_gracefully(tmp_path: Path) -> None:
    with Server(tmp_path, command=with_hangup("SIG_DFL")) as server:
        post = HalfPosted(server)
        os.killpg(server.pid, signal.SIGHUP)
        wait_until_it_refuses_connections(server)
        assert post.finish().startswith(b"HTTP/1.1 201 ")
        assert server.wait() == 0


def test_with_nohup_a_closed_terminal_does_not_stop_it(tmp_path: Path) -> None:
    with Server(tmp_path, command=with_hangup("SIG_IGN")) as server:
        os.killpg(server.pid, signal.SIGHUP)
        assert httpx.get(f"{server.url}/", timeout=DEADLINE).status_code == 300
        server.stop()


def test_an_idle_server_ends_at_once_though_connections_are_kept_alive(tmp_path: Path) -> None:
    with Server(tmp_path, arguments=("--workers", "2")) as server:
        with httpx.Client(base_url=server.url, timeout=DEADLINE) as client:
            assert client.get("/").status_code == 300
            server.stop()
        lines = server.output().splitlines()
        assert len([line for line in lines if "queueing.access" not in line]) == 2, lines


def test_requests_that_take_longer_than_they_may_are_ended(tmp_path: Path) -> None:
    with Server(tmp_path, graceful_timeout_seconds="1") as server:
        post = HalfPosted(server)
        server.stop()
        assert post.finish() == b""


def test_a_second_ctrl_c_does_not_wait_for_requests_in_flight(tmp_path: Path) -> None:
    with Server(tmp_path, graceful_timeout_seconds="600") as server:
        post = HalfPosted(server)
        os.killpg(server.pid, signal.SIGINT)
        wait_until_it_refuses_connections(server)
        os.killpg(server.pid, signal.SIGINT)
        assert server.wait() == 0
        assert post.finish() == b""
        assert "Traceback" not in server.output()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_stop_while_it_starts_stops(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = [*COMMAND, "serve", "--bind", "127.0.0.1:0", "--workers", "4"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert "listens on" in process.stdout.readline()
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=DEADLINE)
        assert (process.returncode, errors) == (0, "")


def test_what_was_acknowledged_is_there_after_kill_9_and_a_restart(tmp_path: Path) -> None:
    with Server(tmp_path, arguments=("--workers", "2")) as server:
        for number in range(20):
            posted = httpx.post(
                f"{server.url}/v2/queues/demo/messages",
                json={"messages": [{"body": number}]},
                timeout=DEADLINE,
            )
            assert posted.status_code == 201
        server.kill()
        server.start()
        listing = f"{server.url}/v2/queues/demo/messages?limit=20&echo=true"
        messages = httpx.get(listing, timeout=DEADLINE).json()["messages"]
        assert [message["body"] for message in messages] == list(range(20))
        server.stop()
