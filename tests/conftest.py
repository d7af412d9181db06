"""Options and fixtures of every test: the stores to run over, each test's own project, its clock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from queueing.core.clock import ManualClock
from queueing.storage.contract import Storage
from tests.support import stores
from tests.support.server import SERVERS, Server
from tests.support.stores import Place, Store

pytest_plugins = ["tests.support.judged"]

EXAMPLES = int(os.environ.get("QUEUEING_TEST_EXAMPLES", "200"))
LONG = EXAMPLES > 200
OPERATIONS = (50 if LONG else 25) * EXAMPLES
"""Asked in each run in which something is killed or cut meanwhile: 5,000, or 10^5 by `make test-long`."""

# Each run looks elsewhere at home; in CI all runs look at the same places.
settings.register_profile(
    "queueing",
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("queueing")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stores", default="", help=f"run over these only, of {','.join(stores.STORES)}"
    )
    parser.addoption(
        "--servers", default=",".join(SERVERS), help="serve with these, by default with all"
    )


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "resends: only of stores that may send a step twice")
    config.addinivalue_line("markers", "no_store: none of the chosen stores is one for this test")
    config.addinivalue_line("markers", "announces: only of stores that tell what others do")
    config.addinivalue_line(
        "markers", "gunicorn_only: test_two_servers.py says what granian does instead"
    )
    if not _is_worker(config):
        stores.begin_run()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What runs in containers is only run when it is named: it needs docker and images."""
    if collection_path.name == "containers" and collection_path.parent.name == "tests":
        return not any("containers" in argument for argument in config.args)
    return None


def pytest_unconfigure(config: pytest.Config) -> None:
    if not _is_worker(config):
        stores.end_run()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for a store over each; what asks for its URI over those that have one."""
    if "store" in metafunc.fixturenames:
        chosen = stores.chosen(metafunc.config.getoption("--stores"))
        if "storage_uri" in metafunc.fixturenames:
            chosen = [store for store in chosen if store.uri]
        if metafunc.definition.get_closest_marker("resends"):
            chosen = [store for store in chosen if store.resends]
        if metafunc.definition.get_closest_marker("announces"):
            chosen = [store for store in chosen if store.announces]
        if chosen:
            metafunc.parametrize("store", chosen, ids=[store.name for store in chosen])
        else:
            metafunc.parametrize("store", [pytest.param(None, marks=pytest.mark.no_store)])
    # `tests/api` chooses servers and stores together.
    if "web_server" in metafunc.fixturenames and "served_store" not in metafunc.fixturenames:
        chosen_servers = servers(metafunc.config)
        metafunc.parametrize("web_server", chosen_servers, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What none of the chosen stores or servers is asked is not there, instead of skipped."""
    absent = [
        item for item in items if item.get_closest_marker("no_store") or _not_of_granian(item)
    ]
    if absent:
        config.hook.pytest_deselected(items=absent)
        gone = set(absent)
        items[:] = [item for item in items if item not in gone]
    # The longest begin first: what begins last ends alone.
    items.sort(key=lambda item: item.path.parent.name != "replay")


def _not_of_granian(item: pytest.Item) -> bool:
    chosen = getattr(item, "callspec", None)
    return (
        item.get_closest_marker("gunicorn_only") is not None
        and chosen is not None
        and chosen.params.get("web_server") == "granian"
    )


def servers(config: pytest.Config) -> list[str]:
    """What `--servers` says, in our order."""
    chosen = set(config.getoption("--servers").split(","))
    if not chosen <= set(SERVERS):
        raise pytest.UsageError(f"--servers takes some of {','.join(SERVERS)}")
    return [name for name in SERVERS if name in chosen]


@pytest.fixture(scope="session")
def web_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """What speaks HTTP in every `Server` that a test starts: each test runs with each."""
    before, Server.default = Server.default, request.param
    yield request.param
    Server.default = before


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, stores.run_directory())


@pytest.fixture
def storage(store: Store, place: Place) -> Iterator[Storage]:
    """The store, open."""
    opened = store.open(place)
    yield opened
    opened.close()


@pytest.fixture
def storage_uri(store: Store, place: Place) -> str:
    """What other processes open to reach the same store as `storage`."""
    assert store.uri
    return store.uri(place)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def project() -> str:
    """A project that no other test has, in an engine that all share."""
    return f"project-{uuid4()}"
