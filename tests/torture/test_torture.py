"""The judge of torture can fail, and what it is given is what clients saw. Without a balancer."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from queueing.core.models import ClaimTerms, Draft, QueueRef, request_token
from queueing.storage.contract import Storage
from queueing.storage.registry import open_storage
from tests.support.history import Event, Finding, Seen
from tests.support.server import Server
from tests.torture import scenarios  # noqa: F401  # registers them
from tests.torture.balancer import CONFIGURATION, configuration
from tests.torture.deployment import SETTINGS
from tests.torture.link import Link
from tests.torture.load import CLAIM_TTL, Load
from tests.torture.report import COLUMNS, Outcome, table
from tests.torture.scenario import SCENARIOS
from tests.torture.stores import STORES
from tests.torture.talk import PROJECT

PATIENCE_SECONDS = 60.0


@contextmanager
def loaded(tmp_path: Path) -> Iterator[tuple[Load, Storage]]:
    """A node under load, and its store by the back door."""
    with Server(tmp_path, **SETTINGS) as server:
        storage = open_storage(server.storage, timeout_seconds=30)
        load = Load([server.url], lanes=2, rate=1000)
        load.start()
        try:
            yield load, storage
        finally:
            load.stop()
            storage.close()


def verdict(load: Load) -> Outcome:
    load.stop()
    assert load.errors == []
    return Outcome("x", "sqlite", load.seconds, load.operations, load.posted, {}, 0.0,
                   load.findings(), load.wrong)  # fmt: skip


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_in_which_nothing_happens_passes(tmp_path: Path) -> None:
    with loaded(tmp_path) as (load, _):
        wait_until(lambda: load.taken > 500)
        outcome = verdict(load)
    assert outcome.passed, outcome.reasons()
    assert not load.failures
    assert load.posted >= load.taken
    assert {event.verb for events in load.history.values() for event in events} >= {
        "post", "claim", "delete", "release", "pop", "page",
    }  # fmt: skip


QUEUE = QueueRef(PROJECT, "lane0-1")


def loses(storage: Storage, load: Load) -> str:
    storage.messages.purge(QUEUE, now=time.time())
    return "lost"


def doubles(storage: Storage, load: Load) -> str:
    body = b'"1 of lane0-1 %s"' % (b"." * 60)
    storage.messages.post(QUEUE, [Draft(body, 3600)], client_id=PROJECT, token=request_token(),
                          version="", now=time.time())  # fmt: skip
    return "doubled"


def gives_twice(storage: Storage, load: Load) -> str:
    """Releases what a client has been told it holds, and lets the client have it again."""
    terms = ClaimTerms(CLAIM_TTL, 60, 20)
    before, token = time.time(), request_token()
    claimed = storage.claims.claim(QUEUE, terms, token=token, version="", now=before).claim
    assert claimed is not None
    messages = claimed.messages
    storage.claims.release(QUEUE, token, now=time.time())
    shown = [(one.id, one.body.decode().strip('"')) for one in messages]
    load.history[QUEUE.name].append(
        Event("thief", "claim", time.monotonic() - 0.001, time.monotonic(),
              messages=tuple(Seen(id, int(body.split()[0]), body.encode()) for id, body in shown),
              claim="c", fence=claimed.fence, now=before, ttl=CLAIM_TTL, limit=20)
    )  # fmt: skip
    return "two live claims"


@pytest.mark.parametrize("sabotage", [loses, doubles, gives_twice])
def test_a_run_in_which_a_promise_is_broken_fails(
    tmp_path: Path, sabotage: Callable[[Storage, Load], str]
) -> None:
    with loaded(tmp_path) as (load, storage):
        wait_until(lambda: load.taken > 100)
        column = sabotage(storage, load)
        posted = load.posted
        wait_until(lambda: load.posted > posted + 200)
        outcome = verdict(load)
    assert not outcome.passed
    assert outcome.counts()[column] > 0, outcome.reasons()
    assert outcome.reasons()


def test_an_answer_that_no_client_may_get_fails_a_run(tmp_path: Path) -> None:
    with Server(tmp_path, **SETTINGS, max_messages_post_size="10") as server:
        load = Load([server.url], lanes=2, rate=1000)
        load.start()
        wait_until(lambda: bool(load.wrong))
        outcome = verdict(load)
    assert not outcome.passed
    assert "400" in outcome.reasons()[0]


def test_a_node_that_dies_is_seen_as_requests_that_failed_and_as_nothing_worse(
    tmp_path: Path,
) -> None:
    settings = {**SETTINGS, "storage": f"sqlite:///{tmp_path}/queueing.db"}
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with Server(tmp_path / "one", **settings) as one, Server(tmp_path / "two", **settings) as two:
        load = Load([one.url, two.url], lanes=2, rate=1000)
        load.start()
        wait_until(lambda: load.taken > 100)
        one.kill()
        wait_until(lambda: bool(load.failures))
        load.stop()
        load._urls = [two.url]
        outcome = verdict(load)
    assert outcome.passed, outcome.reasons()


def test_a_link_that_is_cut_is_silent_and_delivers_when_it_is_mended() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Link(server.getsockname()[1]) as link:
        client = socket.create_connection(("127.0.0.1", link.port), timeout=PATIENCE_SECONDS)
        there, _ = server.accept()
        with client, there:
            there.settimeout(PATIENCE_SECONDS)
            client.sendall(b"before")
            assert there.recv(100) == b"before"
            link.cut()
            client.sendall(b"while")
            late = socket.create_connection(("127.0.0.1", link.port), timeout=PATIENCE_SECONDS)
            there.settimeout(0.2)
            with pytest.raises(TimeoutError):
                there.recv(100)
            there.settimeout(PATIENCE_SECONDS)
            client.close()  # its sender gives up
            link.mend()
            assert there.recv(100) == b"while"
            assert there.recv(100) == b""
            late.sendall(b"late")
            with late, server.accept()[0] as other:
                other.settimeout(PATIENCE_SECONDS)
                assert other.recv(100) == b"late"


def test_each_scenario_says_what_it_does_and_which_stores_it_is_for() -> None:
    assert len(SCENARIOS) >= 8
    for name, scenario in SCENARIOS.items():
        assert scenario.what.endswith("."), name
        assert set(scenario.stores) <= set(STORES)


def test_the_balancer_is_ours_but_for_names_and_ports() -> None:
    ours = CONFIGURATION.read_text()
    text = configuration(ours, 1234, [1, 2], Path("/admin"))
    assert "127.0.0.1:1234" in text and "server node2 127.0.0.1:2" in text
    # Its own port, its own nodes, and no names that only Docker resolves: the rest is as it was.
    names = (
        "bind",
        "server-template",
        "default-server",
        "resolvers",
        "nameserver",
        "resolve_",
        "hold ",
    )
    changed = set(ours.splitlines()) - set(text.splitlines())
    own = [
        line
        for line in changed
        if line.strip().startswith((*names, "timeout resolve", "timeout retry"))
    ]
    assert changed == set(own)


def test_the_table_has_a_row_for_each_and_a_column_for_each_promise() -> None:
    outcome = Outcome("a", "redis", 2.0, 10, 100, {"503": 1}, 0.5, [], [])
    made = table([outcome, outcome])
    assert made.row_count == 2
    assert set(COLUMNS) <= {str(column.header) for column in made.columns}


def test_what_came_of_it_is_json_too() -> None:
    finding = ("q", Finding("lost", "one"))
    outcome = Outcome("a", "redis", 2.0, 10, 100, {"POST 503": 1}, 0.5, [finding], ["slow"])
    document = json.loads(json.dumps(outcome.document()))
    assert (document["lost"], document["rate"], document["passed"]) == (1, 50.0, False)
    assert document["findings"] == [{"queue": "q", "kind": "lost", "what": "one"}]
