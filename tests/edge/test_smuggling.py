"""No request is smuggled past the node, nor past the balancer in front of it."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from tests.edge.corpus import ATTEMPTS, HIDDEN, SMUGGLED, Attempt
from tests.support.server import DEADLINE, Server
from tests.torture.balancer import Balancer

PAUSE_SECONDS = 1.0  # for what is read as the beginning of more


class Way(NamedTuple):
    """Where attempts go in, and the node that they reach."""

    port: int
    node: str
    log: Path | None
    """The balancer's: what it saw."""


@pytest.fixture(scope="module", params=["directly", "through the balancer"])
def way(
    request: pytest.FixtureRequest, web_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Way]:
    home = tmp_path_factory.mktemp("edge")
    with ExitStack() as stack:
        node = stack.enter_context(Server(home))
        port, log = node.port, None
        if request.param != "directly":
            balancer = Balancer(home / "balancer", [node.port])
            balancer.start()
            stack.callback(balancer.stop)
            port = urlsplit(balancer.url).port or 0
            log = home / "balancer" / "haproxy.log"
        yield Way(port, node.url, log)


def answers(port: int, sent: bytes) -> list[int]:
    """The statuses of all that is answered until the connection ends; the client ends first."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
        try:
            connection.sendall(sent)
            connection.settimeout(PAUSE_SECONDS)
            while part := connection.recv(65536):
                received += part
        except (TimeoutError, ConnectionError):
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]


def posted(node: str, queue: str) -> int:
    stats = httpx.get(f"{node}/v2/queues/{queue}/stats", timeout=DEADLINE)
    return int(stats.json()["messages"]["total"])


def seen(way: Way, queue: str) -> int:
    """How many posts into a queue the balancer took for requests and passed on."""
    return way.log.read_text().count(f'"POST /v2/queues/{queue}/messages') if way.log else 0


def test_what_is_hidden_would_be_carried_out_on_its_own(way: Way) -> None:
    """Or the others would prove nothing."""
    visible = HIDDEN.replace(SMUGGLED.encode(), b"visible")
    assert answers(way.port, visible) == [201]
    assert posted(way.node, "visible") == 1


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_nothing_is_smuggled(way: Way, attempt: Attempt) -> None:
    before = posted(way.node, SMUGGLED) - seen(way, SMUGGLED)
    statuses = answers(way.port, attempt.sent)
    assert all(status < 500 for status in statuses), statuses
    # A balancer may be generous, and see two requests where others refuse both. It writes them down late.
    deadline = time.monotonic() + DEADLINE
    while posted(way.node, SMUGGLED) - seen(way, SMUGGLED) > before:
        assert way.log and time.monotonic() < deadline, "smuggled"
        time.sleep(0.05)
    assert httpx.get(f"{way.node}/v2/health/live", timeout=DEADLINE).status_code == 204
