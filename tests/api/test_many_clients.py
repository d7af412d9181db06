"""Two nodes on one store, 16 clients that post and 16 that claim: each message is delivered once, and
a reader who follows markers beside them misses none.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from multiprocessing.pool import AsyncResult, ThreadPool
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.conftest import EXAMPLES
from tests.support.server import Server
from tests.support.stores import Store

MESSAGES = 25 * EXAMPLES
CLIENTS = 16
BATCH = 10
PATIENCE_SECONDS = 1500
LONG = 43_200  # seconds, no claim ends before the test does

Sent = dict[str, int]
"""Bodies by the message's id."""


class Client:
    """One connection."""

    def __init__(self, url: str, project: str) -> None:
        address = urlsplit(url)
        assert address.hostname
        self._connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)
        self._headers = {
            "X-Project-ID": project,
            "Client-ID": str(uuid4()),
            "Content-Type": "application/json",
        }

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, document: Any = None) -> tuple[int, Any]:
        body = None if document is None else json.dumps(document)
        self._connection.request(method, f"/v2/queues/{path}", body, self._headers)
        with self._connection.getresponse() as response:
            text = response.read()
            return response.status, json.loads(text) if text else None


def post(url: str, project: str, first: int, count: int) -> Sent:
    """Post `count` messages whose bodies count up from `first`."""
    client, sent = Client(url, project), {}
    for start in range(first, first + count, BATCH):
        bodies = range(start, min(start + BATCH, first + count))
        status, posted = client.ask(
            "POST", "q/messages", {"messages": [{"body": n} for n in bodies]}
        )
        assert status == 201, posted
        ids = [href.rsplit("/", 1)[1] for href in posted["resources"]]
        sent.update(zip(ids, bodies, strict=True))
    return sent


def claim(url: str, project: str, done: Any) -> list[tuple[str, str, int]]:
    """Claim until `done` is set and nothing is left: claim id, message id and body of each."""
    client, got = Client(url, project), []
    while True:
        last = done.is_set()
        status, claimed = client.ask("POST", f"q/claims?limit={BATCH}", {"ttl": LONG})
        assert status in (201, 204), claimed
        if status == 204:
            if last:
                return got
            done.wait(0.05)
            continue
        for message in claimed["messages"]:
            claim_id = message["href"].rsplit("claim_id=", 1)[1]
            got.append((claim_id, message["id"], message["body"]))


def read(url: str, project: str, done: Any) -> list[tuple[str, int]]:
    """Follow the markers to the end of what was posted."""
    client, seen = Client(url, project), []
    path = "q/messages?echo=true&include_claimed=true&limit=20"
    while True:
        last = done.is_set()
        status, page = client.ask("GET", path)
        assert status == 200, page
        seen += [(message["id"], message["body"]) for message in page["messages"]]
        if page["links"]:
            path = page["links"][0]["href"].removeprefix("/v2/queues/")
        elif last:
            return seen
        else:
            done.wait(0.02)


def delete(url: str, project: str, claims: dict[str, list[str]]) -> None:
    client = Client(url, project)
    for claim_id, ids in claims.items():
        status, answer = client.ask(
            "DELETE", f"q/messages?ids={','.join(ids)}&claim_ids={claim_id}"
        )
        assert status == 204, answer


def many(role: Callable[..., Any], *arguments: tuple[Any, ...]) -> list[Any]:
    """Runs in a process of its own: the role once per tuple, in threads."""
    with ThreadPool(len(arguments)) as pool:
        return pool.starmap(role, arguments)


@pytest.fixture
def urls(
    served_store: Store, new_servers: Callable[[int], list[Server]]
) -> Iterator[tuple[str, str]]:
    with ExitStack() as stack:
        one, other = (stack.enter_context(server) for server in new_servers(2))
        yield one.url, other.url


@pytest.mark.timeout(PATIENCE_SECONDS)
def test_each_message_is_delivered_once_and_shown_to_the_reader(urls: tuple[str, str]) -> None:
    project = f"many-{uuid4().hex}"
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(5) as pool:
        done = manager.Event()
        each = MESSAGES // CLIENTS
        posting = [
            pool.apply_async(
                many,
                (post, *((url, project, n * each, each) for n in range(at, CLIENTS, len(urls)))),
            )
            for at, url in enumerate(urls)
        ]
        claiming = [
            pool.apply_async(many, (claim, *((url, project, done) for _ in range(CLIENTS // 2))))
            for url in urls
        ]
        reading = pool.apply_async(read, (urls[0], project, done))
        sent: Sent = {}
        for part in _all(posting):
            sent |= part
        done.set()
        got: list[tuple[str, str, int]] = list(chain(*_all(claiming)))
        seen = reading.get(PATIENCE_SECONDS)

        assert len(sent) == each * CLIENTS
        assert Counter(id for _, id, _ in got) == Counter(sent.keys())
        assert Counter(id for id, _ in seen) == Counter(sent.keys())
        assert all(sent[id] == body for _, id, body in got)
        assert all(sent[id] == body for id, body in seen)
        for n in range(CLIENTS):  # what one client posted came in its order
            own = [body for _, body in seen if body // each == n]
            assert own == sorted(own)

        claims: dict[str, list[str]] = {}
        for claim_id, id, _ in got:
            claims.setdefault(claim_id, []).append(id)
        held = list(claims.items())
        deleting = [
            pool.apply_async(
                many,
                (delete, *((url, project, dict(held[n::CLIENTS])) for n in range(at, CLIENTS, 2))),
            )
            for at, url in enumerate(urls)
        ]
        _all(deleting)
        with Client(urls[1], project) as client:
            _, stats = client.ask("GET", "q/stats")
        assert stats["messages"]["total"] == 0


def _all(parts: list[AsyncResult[list[Any]]]) -> list[Any]:
    """What every thread of every process returned."""
    return [result for part in parts for result in part.get(PATIENCE_SECONDS)]
