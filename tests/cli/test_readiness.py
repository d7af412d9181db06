"""Liveness, readiness, and how a node leaves: not ready first, gone later."""

from __future__ import annotations

import http.client
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.engines.redis import Process
from tests.support.freezing import freeze, thaw
from tests.support.server import DEADLINE, Server, run, with_hangup

LIVE, READY = "/v2/health/live", "/v2/health/ready"
FOR_EVER = {"drain_seconds": "600"}
MESSAGE = {"messages": [{"body": 1}]}


def status(server: Server, path: str) -> int:
    return httpx.get(f"{server.url}{path}", timeout=DEADLINE).status_code


def wait_until(condition: Callable[[], bool], *servers: Server) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, [server.output() for server in servers]
        time.sleep(0.02)


@pytest.mark.usefixtures("web_server")
def test_a_node_that_drains_serves_and_is_not_ready(tmp_path: Path) -> None:
    with Server(tmp_path, workers="2", strict_headers="true", **FOR_EVER) as server:
        assert (status(server, LIVE), status(server, READY)) == (204, 204)
        assert run("ping", "--ready", server.url, directory=tmp_path).returncode == 0
        server.signal(signal.SIGTERM)
        wait_until(lambda: status(server, READY) == 503, server)
        refused = httpx.get(f"{server.url}{READY}", timeout=DEADLINE)
        assert refused.json() == {
            "title": "Not ready",
            "description": "This node is about to stop.",
        }
        assert run("ping", "--ready", server.url, directory=tmp_path).returncode == 1
        assert run("ping", "--live", server.url, directory=tmp_path).returncode == 0
        headers = {"X-Project-ID": "p", "Client-ID": "3381af92-2b9e-11e3-b191-71861300734c"}
        posted = httpx.post(
            f"{server.url}/v2/queues/q/messages", json=MESSAGE, headers=headers, timeout=DEADLINE
        )
        assert posted.status_code == 201
        server.stop()  # a second signal ends it


@pytest.mark.usefixtures("web_server")
def test_a_node_stops_by_itself_when_it_has_drained(tmp_path: Path) -> None:
    with Server(tmp_path, drain_seconds="0.2") as server:
        server.stop()
        assert "not ready any more, stops in 0.2 s" in server.output()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_nobody_waits_for_balancers_at_a_terminal(tmp_path: Path, number: int) -> None:
    with Server(tmp_path, command=with_hangup("SIG_DFL"), **FOR_EVER) as server:
        server.signal(number)
        assert server.wait() == 0


@pytest.mark.usefixtures("web_server")
def test_a_node_without_its_store_lives_and_is_not_ready(tmp_path: Path) -> None:
    redis = Process(tmp_path / "redis").start()
    try:
        with Server(tmp_path, storage=redis.uri) as server:
            assert status(server, READY) == 204
            freeze(redis.pid)
            wait_until(lambda: status(server, READY) == 503, server)
            assert status(server, LIVE) == 204
            thaw(redis.pid)
            wait_until(lambda: status(server, READY) == 204, server)
    finally:
        redis.stop()


class Balanced:
    """A balancer that knows two nodes by their readiness, and clients that repeat nothing."""

    def __init__(self, nodes: list[Server]) -> None:
        self._nodes = nodes
        self.ready: list[Server] = list(nodes)
        self.answered = 0
        self.failures: list[str] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._watch)]
        self._threads += [threading.Thread(target=self._post, args=(at,)) for at in range(4)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.ready = [node for node in self._nodes if self._is_ready(node)]

    def _is_ready(self, node: Server) -> bool:
        try:
            return status(node, READY) == 204
        except httpx.HTTPError:
            return False

    def _post(self, at: int) -> None:
        while not self._over.is_set():
            ready = self.ready
            if not ready:
                self._fail("no node was ready")
                return
            node = ready[at % len(ready)]
            connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=DEADLINE)
            try:
                connection.request(
                    "POST", f"/v2/queues/q{at}/messages", '{"messages":[{"body":1}]}'
                )
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self._fail(repr(error))
                continue
            finally:
                connection.close()
            if answer.status != 201:
                self._fail(f"answered {answer.status}")
            with self._lock:
                self.answered += 1
            at += 1

    def _fail(self, why: str) -> None:
        with self._lock:
            self.failures.append(why)


@pytest.mark.usefixtures("web_server")
def test_restarts_fail_no_request_of_those_who_look_at_readiness(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/queueing.db"
    homes = [tmp_path / "one", tmp_path / "two"]
    for home in homes:
        home.mkdir()
    first, second = (Server(home, storage=storage, drain_seconds="4") for home in homes)
    with first, second:
        balanced = Balanced([first, second])
        for node in (first, second):
            served = balanced.answered
            wait_until(lambda served=served: balanced.answered > served + 50, node)
            node.stop()
            node.start()
            wait_until(lambda node=node: node in balanced.ready, node)
        balanced.stop()
        assert balanced.failures == []
