"""`wait`: whatever makes a message free ends the wait, on whichever node it happens."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx
import pytest

from queueing.core.models import ClaimTerms, QueueRef, request_token
from queueing.storage.contract import Storage
from tests.support import stores
from tests.support.http import API, PARAMETER, Api, Wire, connect, empty, refused, request_bytes
from tests.support.server import SERVERS, Server
from tests.support.stores import Place, Store

WAIT = 30  # seconds; the longest
PAUSE = 0.3  # seconds in which a request most likely has begun to wait
PATIENCE_SECONDS = 60.0


class Nodes(NamedTuple):
    """gunicorn and granian on one store, and the store itself."""

    urls: tuple[str, str]
    storage: Storage


@pytest.fixture(scope="module")
def nodes(served_store: Store, fresh_place: Callable[[], Place]) -> Iterator[Nodes]:
    place = fresh_place()
    assert served_store.uri
    patience = str(stores.PATIENCE_SECONDS)
    first, second = (
        Server(
            fresh_place().directory,
            storage=served_store.uri(place),
            storage_timeout_seconds=patience,
            server=server,
        )
        for server in SERVERS
    )
    with first, second:
        storage = served_store.open(place)
        yield Nodes((first.url, second.url), storage)
        storage.close()


@pytest.fixture(params=[(0, 0), (1, 0), (0, 1)], ids=["one node", "at gunicorn", "at granian"])
def places(request: pytest.FixtureRequest) -> tuple[int, int]:
    """At which node something is done, and at which somebody waits."""
    at: tuple[int, int] = request.param
    return at


@pytest.fixture
def here(nodes: Nodes, places: tuple[int, int]) -> Iterator[Api]:
    """A client of the node where something is done."""
    with connect(nodes.urls[places[0]]) as http:
        yield Api(http)


@pytest.fixture
def there(nodes: Nodes, places: tuple[int, int], here: Api) -> Iterator[Api]:
    """Another client of the same project, at the node where somebody waits."""
    with connect(nodes.urls[places[1]]) as http:
        yield Api(http, project=here.project)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(64) as pool:
        yield pool


def wait(api: Api, way: str, queue: str = "q", seconds: float = WAIT) -> list[Any]:
    """The bodies that a request got that was willing to wait."""
    collection = f"/v2/queues/{queue}"
    if way == "claim":
        response = api.post(f"{collection}/claims?wait={seconds}&limit=1")
        assert response.status_code in (201, 204), response.text
        found = response.json()["messages"] if response.content else []
    elif way == "pop":
        found = api.delete(f"{collection}/messages?pop=1&wait={seconds}").json()["messages"]
    else:
        found = api.get(f"{collection}/messages?wait={seconds}").json()["messages"]
    return [message["body"] for message in found]


WAYS = pytest.mark.parametrize("way", ["claim", "pop", "list"])


def waiting(pool: ThreadPoolExecutor, api: Api, way: str, queue: str = "q") -> Future[list[Any]]:
    future = pool.submit(wait, api, way, queue)
    time.sleep(PAUSE)
    assert not future.done(), future.result()
    return future


@WAYS
def test_a_post_ends_the_wait(here: Api, there: Api, pool: ThreadPoolExecutor, way: str) -> None:
    waiter = waiting(pool, there, way)
    here.say("q", "now")
    assert waiter.result(PATIENCE_SECONDS) == ["now"]


@WAYS
def test_a_release_ends_the_wait(here: Api, there: Api, pool: ThreadPoolExecutor, way: str) -> None:
    here.say("q", "released")
    claim = here.claim("q")
    waiter = waiting(pool, there, way)
    empty(here.delete(claim.location))
    assert waiter.result(PATIENCE_SECONDS) == ["released"]


@WAYS
def test_a_delay_that_ends_ends_the_wait(
    here: Api, there: Api, pool: ThreadPoolExecutor, way: str
) -> None:
    waiter = waiting(pool, there, way)
    here.say("q", "late", delay=1)
    assert waiter.result(PATIENCE_SECONDS) == ["late"]


@WAYS
def test_a_claim_that_expires_ends_the_wait(
    here: Api, there: Api, nodes: Nodes, pool: ThreadPoolExecutor, way: str
) -> None:
    here.say("q", "forgotten")
    queue = QueueRef(here.project, "q")
    almost_a_minute_ago = nodes.storage.time() - 58
    claimed = nodes.storage.claims.claim(
        queue, ClaimTerms(60, 60), token=request_token(), version="", now=almost_a_minute_ago
    )
    assert claimed.claim
    assert wait(there, way) == ["forgotten"]


@WAYS
def test_a_dead_letter_ends_the_wait_at_its_target(
    here: Api, there: Api, pool: ThreadPoolExecutor, way: str
) -> None:
    here.create("q", _dead_letter_queue="graves", _max_claim_count=1)
    here.say("q", "poison")
    empty(here.delete(here.claim("q").location))
    waiter = waiting(pool, there, way, "graves")
    assert not here.claim("q")
    assert waiter.result(PATIENCE_SECONDS) == ["poison"]


def test_what_nobody_posts_is_waited_for_in_vain(here: Api, there: Api) -> None:
    assert wait(there, "claim", seconds=0.2) == []
    assert wait(there, "pop", seconds=0.2) == []
    assert wait(there, "list", seconds=0.2) == []
    assert here.queue_names() == []


@pytest.mark.parametrize("places", [(0, 0), (1, 0)])  # granian does not show us its sockets
def test_a_client_that_hangs_up_claims_nothing(
    here: Api, there: Api, pool: ThreadPoolExecutor
) -> None:
    target = "/v2/queues/q/claims?wait=30"
    headers = [("X-Project-ID", there.project), ("Content-Length", "0")]
    with Wire(there.url) as wire:
        wire.send(request_bytes("POST", target, headers))
        time.sleep(PAUSE)
    waiter = waiting(pool, there, "claim")
    here.say("q", 1)
    assert waiter.result(PATIENCE_SECONDS) == [1]
    assert here.counts("q") == (0, 1, 1)


def test_every_message_is_delivered_once_while_many_wait_at_two_nodes(
    nodes: Nodes, pool: ThreadPoolExecutor
) -> None:
    with connect(nodes.urls[0]) as first, connect(nodes.urls[1]) as second:
        apis = [Api(first), Api(second)]
        apis[1].project = apis[0].project
        apis[1].headers["X-Project-ID"] = apis[0].project
        total, lock = 240, threading.Lock()
        got: Counter[int] = Counter()

        def consume(api: Api) -> None:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while time.monotonic() < deadline:
                with lock:
                    if got.total() >= total:
                        return
                bodies = wait(api, "pop", seconds=1)
                with lock:
                    got.update(bodies)

        def produce(api: Api, first: int) -> None:
            for number in range(first, first + total // 4):
                api.say("q", number)
                if number % 10 == 0:
                    time.sleep(0.02)  # so that consumers run dry

        consumers = [pool.submit(consume, apis[number % 2]) for number in range(24)]
        producers = [
            pool.submit(produce, apis[number % 2], number * total // 4) for number in range(4)
        ]
        for future in producers + consumers:
            future.result(2 * PATIENCE_SECONDS)
        assert got == Counter(range(total))


def test_the_link_of_a_page_waits_as_its_request_did(here: Api) -> None:
    here.say("q", 1)
    page = here.get("/v2/queues/q/messages?echo=true&wait=0.5&limit=1").json()
    [link] = page["links"]
    assert "&wait=0.5&" in link["href"]
    assert here.get(link["href"]).json() == {"messages": [], "links": []}


@pytest.mark.parametrize(
    ("value", "title", "fragment"),
    [
        ("soon", PARAMETER, "wait must be a number of seconds. Got 'soon'."),
        ("1e1", PARAMETER, "wait must be a number of seconds."),
        ("nan", PARAMETER, "wait must be a number of seconds."),
        ("-1", API, "wait must be at least 0 and may not exceed 30 seconds. Got -1."),
        ("30.5", API, "wait must be at least 0 and may not exceed 30 seconds. Got 30.5."),
        ("9" * 18, API, "may not exceed 30 seconds"),
    ],
)
@pytest.mark.parametrize("way", ["claims", "messages?pop=1&", "messages?"])
def test_a_wait_that_is_none_is_refused(
    api: Api, way: str, value: str, title: str, fragment: str
) -> None:
    method = {"claims": "POST", "messages?pop=1&": "DELETE"}.get(way, "GET")
    path = f"/v2/queues/q/{way}{'?' if way == 'claims' else ''}wait={value}"
    refused(api.request(method, path), 400, title, fragment)


@pytest.mark.parametrize("query", ["wait=0", "wait=", "wait=0.0"])
def test_no_wait_is_no_wait(api: Api, query: str) -> None:
    empty(api.post(f"/v2/queues/q/claims?{query}"))


def test_one_too_many_is_answered_at_once_and_told_to_come_again(
    new_server: Callable[..., Server], pool: ThreadPoolExecutor
) -> None:
    with (
        new_server(max_waiters="2", threads="1") as server,
        connect(server.url) as http,
    ):
        api = Api(http)
        waiters = [waiting(pool, api, way) for way in ("claim", "pop")]
        for method, path in (
            ("POST", "claims?wait=30"),
            ("GET", "messages?wait=30"),
            ("DELETE", "messages?pop=1&wait=30"),
        ):
            answer = api.request(method, f"/v2/queues/q/{path}")
            assert answer.headers["Retry-After"] == "1"
            assert answer.status_code in (200, 204)
        assert "Retry-After" not in api.post("/v2/queues/q/claims").headers
        api.say("q", 1, 1)  # served by the one thread, as those who wait hold none of them
        assert [waiter.result(PATIENCE_SECONDS) for waiter in waiters] == [[1], [1]]


def test_nobody_may_wait_where_that_is_off(new_server: Callable[..., Server]) -> None:
    with new_server(max_wait_seconds="0") as server, connect(server.url) as http:
        api = Api(http)
        refused(api.post("/v2/queues/q/claims?wait=1"), 400, API, "may not exceed 0 seconds")
        empty(api.post("/v2/queues/q/claims?wait=0"))


def test_stopping_answers_all_who_wait(
    new_server: Callable[..., Server], pool: ThreadPoolExecutor
) -> None:
    """They would be cut off after a second if they were not answered."""
    with (
        new_server(graceful_timeout_seconds="1") as server,
        httpx.Client(
            base_url=server.url, timeout=PATIENCE_SECONDS, limits=httpx.Limits(max_connections=60)
        ) as http,
    ):
        api = Api(http)
        waiters = [pool.submit(wait, api, way) for way in ["claim", "pop"] * 25]
        time.sleep(3 * PAUSE)
        assert not any(waiter.done() for waiter in waiters)
        server.stop()
        assert [waiter.result(PATIENCE_SECONDS) for waiter in waiters] == [[]] * 50
