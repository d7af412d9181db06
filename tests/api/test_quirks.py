"""Known quirks (section 16) that no other test has in its name, each by its number."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from queueing.config import Settings
from queueing.storage.registry import open_storage
from tests.support.http import BODY, NOT_FOUND, Api, empty, refused, success
from tests.support.node import Node


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[Node]:
    """A node that no other test sees broken; its file is `queueing.db`."""
    storage = open_storage(f"sqlite:///{tmp_path}/queueing.db", timeout_seconds=0.2)
    with Node(Settings(storage_timeout_seconds=0.2), storage) as node:
        yield node


def test_q8_ids_of_another_project_do_not_exist(api: Api) -> None:
    other = api.other_project()
    [id] = other.say("q", "theirs")
    api.create("q")
    refused(api.get(f"/v2/queues/q/messages/{id}"), 404, NOT_FOUND)
    empty(api.delete(f"/v2/queues/q/messages/{id}"))
    assert other.bodies("q") == ["theirs"]


def test_q22_encoded_commas_split_lists(api: Api) -> None:
    one, two = api.say("q", 1, 2)
    assert len(success(api.get(f"/v2/queues/q/messages?ids={one}%2C{two}"))["messages"]) == 2
    empty(api.delete(f"/v2/queues/q/messages?ids={one}%2c{two}"))
    assert api.counts("q") == (0, 0, 0)


def test_q48_options_hides_errors_and_v2_needs_its_slash(strict: Api) -> None:
    assert strict.get("/v2").json() == {"title": "404 Not Found"}
    for path in ("/v2/nope", "/v2/queues/bad!name", "/v2/queues?limit=x"):
        empty(strict.options(path, headers={"Client-ID": "wrong"}), 200)


def test_q51_what_is_not_acceptable_is_told_in_json_or_not_at_all(api: Api) -> None:
    answer = api.get("/v2/queues", headers={"Accept": "application/xml"})
    assert answer.status_code == 406
    assert not answer.content or answer.json()["title"] == "406 Not Acceptable"


def test_q59_home_advertises_the_variable_that_delete_takes(api: Api) -> None:
    resource = api.get("/v2/").json()["resources"]["rel/message_delete"]
    assert resource["href-template"].endswith("{?claim_id}")
    assert resource["href-vars"]["claim_id"] == "param/claim_id"


def test_q60_a_bug_is_answered_neutrally(own_node: Node) -> None:
    api = own_node.api()
    api.say("q", 1)

    def broken() -> float:
        raise RuntimeError("the secret inside")

    own_node.clock.now = broken  # type: ignore[method-assign]  # the bug
    answer = api.get("/v2/queues/q/stats")
    refused(answer, 500, "Internal server error")
    assert "secret" not in answer.text
    assert "Error" not in answer.json().get("description", "")
    assert answer.headers["X-OpenStack-Request-ID"].startswith("req-")


def test_q62_ages_are_never_negative(own_node: Node) -> None:
    api = own_node.api()
    [id] = api.say("q", 1, 2)[:1]
    claim = api.claim("q", limit=1)
    own_node.clock.advance(-50)
    assert [m["age"] for m in api.listed("q", "echo=true&include_claimed=true")] == [0, 0]
    assert success(api.get(f"/v2/queues/q/messages/{id}"))["age"] == 0
    assert success(api.get(claim.location))["age"] == 0
    assert api.stats("q")["oldest"]["age"] == 0
    assert api.pop("q", 1)[0]["age"] == 0


def test_q65_neither_nan_nor_lone_surrogates(api: Api) -> None:
    for value in ("NaN", "Infinity", "-Infinity", '"\\ud800"', '"\\udfff\\ud800"'):
        post = f'{{"messages": [{{"body": {value}}}]}}'
        refused(api.post("/v2/queues/q/messages", body=post), 400, BODY)
    assert api.queue_names() == []


def test_q72_roles_are_believed_without_authentication(strict: Api) -> None:
    success(strict.get("/v2/health", headers={"X-Roles": "admin"}))


def test_a_store_that_is_away_is_said_so_and_nothing_is_stored(
    own_node: Node, tmp_path: Path
) -> None:
    api = own_node.api()
    api.say("q", 1)
    other = sqlite3.connect(tmp_path / "queueing.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    title = "Service temporarily unavailable"
    refused(api.post("/v2/queues/q/messages", json={"messages": [{"body": 2}]}), 503, title)
    refused(api.put("/v2/queues/p"), 503, title)
    refused(api.post("/v2/queues/q/claims"), 503, title)
    refused(api.delete("/v2/queues/q/messages?pop=1"), 503, title)
    assert api.bodies("q") == [1]
    other.execute("ROLLBACK")
    other.close()
    assert api.queue_names() == ["q"]
    assert api.claim("q").bodies == [1]


def test_ping_tells_whether_the_store_answers(own_node: Node) -> None:
    api = own_node.api()
    empty(api.get("/v2/ping"))
    own_node.storage.close()
    assert api.get("/v2/ping").status_code == 503
    empty(api.head("/v2/ping"))
    answer = api.get("/v2/queues")
    refused(answer, 503, "Service temporarily unavailable")
    assert int(answer.headers["Retry-After"]) > 0
