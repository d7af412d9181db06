"""Servers to talk to: two real ones per store, and nodes whose clock is moved by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from queueing.config import Settings
from queueing.core.clock import ManualClock
from tests.conftest import servers
from tests.support import stores
from tests.support.http import Api, connect
from tests.support.node import Node
from tests.support.server import Server
from tests.support.stores import Place, Store

SERVED = "served_store"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what talks to a server over each store that a server can open, one store after the other.

    Modules with `ONE_STORE` test what never reaches a store: one is enough for them.
    """
    if SERVED in metafunc.fixturenames:
        chosen = stores.chosen(metafunc.config.getoption("--stores"))
        served = [store for store in chosen if store.uri]
        if getattr(metafunc.module, "ONE_STORE", False):
            served = served[:1]
        if "web_server" not in metafunc.fixturenames:
            names = [store.name for store in served]
            metafunc.parametrize(SERVED, served, ids=names, indirect=True, scope="session")
            return
        # What a store does is no matter of the server: the others run over the first store only.
        pairs = [
            (store, server)
            for position, server in enumerate(servers(metafunc.config))
            for store in (served[:1] if position else served)
        ]
        names = [f"{store.name}-{server}" for store, server in pairs]
        metafunc.parametrize(
            (SERVED, "web_server"), pairs, ids=names, indirect=True, scope="session"
        )


@pytest.fixture(scope="session")
def served_store(request: pytest.FixtureRequest) -> Store:
    store = request.param
    assert isinstance(store, Store)
    return store


@pytest.fixture(scope="session")
def fresh_place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Place]:
    """A directory that nobody else uses, as often as it is called."""
    return lambda: Place(tmp_path_factory.mktemp("node"), stores.run_directory())


@pytest.fixture(scope="session")
def new_server(
    served_store: Store, web_server: str, fresh_place: Callable[[], Place]
) -> Callable[..., Server]:
    """`queueing serve` over the store, not started yet."""

    def new_server(**settings: str) -> Server:
        place = fresh_place()
        assert served_store.uri
        patience = {"storage_timeout_seconds": str(stores.PATIENCE_SECONDS)}
        return Server(
            place.directory,
            storage=served_store.uri(place),
            server=web_server,
            **{**patience, **settings},
        )

    return new_server


@pytest.fixture(scope="session")
def new_servers(
    served_store: Store, web_server: str, fresh_place: Callable[[], Place]
) -> Callable[[int], list[Server]]:
    """So many nodes over one store, not started yet."""

    def new_servers(count: int) -> list[Server]:
        place = fresh_place()
        assert served_store.uri
        uri = served_store.uri(place)
        patience = str(stores.PATIENCE_SECONDS)
        return [
            Server(
                fresh_place().directory,
                storage=uri,
                server=web_server,
                storage_timeout_seconds=patience,
            )
            for _ in range(count)
        ]

    return new_servers


@pytest.fixture(scope="session")
def http(new_server: Callable[..., Server]) -> Iterator[httpx.Client]:
    """`queueing serve` as it comes."""
    with new_server() as server, connect(server.url) as http:
        yield http


@pytest.fixture(scope="session")
def strict_http(new_server: Callable[..., Server]) -> Iterator[httpx.Client]:
    """`queueing serve` that asks for Zaqar's headers and serves administrators."""
    with (
        new_server(strict_headers="true", admin_mode="true") as server,
        connect(server.url) as http,
    ):
        yield http


@pytest.fixture
def api(http: httpx.Client) -> Api:
    """A client of a project that nobody else has."""
    return Api(http)


@pytest.fixture
def strict(strict_http: httpx.Client) -> Api:
    """The same on the strict server."""
    return Api(strict_http)


@pytest.fixture(scope="session")
def node_with(
    served_store: Store, fresh_place: Callable[[], Place]
) -> Iterator[Callable[..., Node]]:
    """Nodes by their settings; all tests that want the same settings share one."""
    nodes: dict[str, Node] = {}
    with ExitStack() as stack:

        def node_with(**chosen: Any) -> Node:
            key = repr(sorted(chosen.items()))
            if key not in nodes:
                storage = served_store.open(fresh_place())
                nodes[key] = stack.enter_context(Node(Settings(**chosen), storage))
            return nodes[key]

        yield node_with


@pytest.fixture
def node(node_with: Callable[..., Node]) -> Node:
    return node_with()


@pytest.fixture
def timed(node: Node) -> Api:
    """A client of a node whose clock is `clock`."""
    return node.api()


@pytest.fixture
def clock(node: Node) -> ManualClock:
    return node.clock
