"""Two nodes on one store are one service: whatever one was told, the other knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from queueing.config import Settings
from tests.support.http import API, NOT_FOUND, Api, empty, next_link, refused, success
from tests.support.node import Node
from tests.support.stores import Place, Store


@pytest.fixture(scope="module")
def nodes(served_store: Store, fresh_place: Callable[[], Place]) -> Iterator[tuple[Node, Node]]:
    place = fresh_place()
    with (
        Node(Settings(), served_store.open(place)) as first,
        Node(Settings(), served_store.open(place)) as second,
    ):
        yield first, second


@pytest.fixture
def here(nodes: tuple[Node, Node]) -> Api:
    return nodes[0].api()


@pytest.fixture
def there(nodes: tuple[Node, Node], here: Api) -> Api:
    """The same client, talking to the other node."""
    return nodes[1].api(project=here.project, client_id=here.client_id)


def change(api: Api, key: str, value: object) -> None:
    success(api.change("q", [{"op": "add", "path": f"/metadata/{key}", "value": value}]))


def test_settings_changed_at_one_node_count_at_the_other_at_once(here: Api, there: Api) -> None:
    here.say("q", 1)
    there.say("q", 2)  # both have seen the queue without settings
    for ttl in (100, 200):
        change(here, "_default_message_ttl", ttl)
        there.say("q", ttl)
    change(there, "_default_message_delay", 900)
    here.say("q", "later")
    shown = there.listed("q", "echo=true&include_delayed=true")
    assert [message["ttl"] for message in shown] == [3600, 3600, 100, 200, 200]
    assert len(there.listed("q")) == 4


def test_sizes_changed_at_one_node_count_at_the_other_at_once(here: Api, there: Api) -> None:
    post = b'{"messages":[{"body":"%b"}]}' % (b"x" * 100)
    for node in (here, there):
        success(node.post("/v2/queues/q/messages", body=post), 201)
    change(here, "_max_messages_post_size", 100)
    refused(there.post("/v2/queues/q/messages", body=post), 400, API)
    change(here, "_max_messages_post_size", 1000)
    success(there.post("/v2/queues/q/messages", body=post), 201)


def test_a_queue_deleted_at_one_node_has_no_settings_at_the_other(here: Api, there: Api) -> None:
    here.create("q", _default_message_ttl=100)
    there.say("q", 1)
    empty(here.delete("/v2/queues/q"))
    there.say("q", 2)
    assert here.listed("q")[0]["ttl"] == 3600


def test_dead_letter_rules_changed_at_one_node_count_at_the_other(here: Api, there: Api) -> None:
    here.say("q", "poison")
    empty(there.delete(there.claim("q").location))
    change(here, "_dead_letter_queue", "graves")
    change(here, "_max_claim_count", 1)
    empty(there.delete(there.claim("q").location))
    assert not here.claim("q")
    assert there.bodies("graves") == ["poison"]


def test_claims_of_one_node_hold_at_the_other(here: Api, there: Api) -> None:
    here.say("q", 1, 2)
    claim = here.claim("q", limit=1, ttl=77)
    assert there.claim("q", limit=20).bodies == [2]
    assert success(there.get(claim.location))["ttl"] == 77
    empty(there.patch(claim.location, json={"ttl": 88}))
    assert success(here.get(claim.location))["ttl"] == 88
    empty(there.delete(claim.messages[0]["href"]))
    assert success(here.get(claim.location))["messages"] == []
    empty(there.delete(claim.location))
    refused(here.get(claim.location), 404, NOT_FOUND)


def test_fences_grow_over_all_nodes(here: Api, there: Api) -> None:
    here.say("q", *range(6))
    fences = [node.claim("q", limit=1).fence for node in (here, there) * 3]
    assert fences == sorted(set(fences))


def test_a_walk_goes_on_at_another_node(here: Api, there: Api) -> None:
    for number in range(6):
        (here, there)[number % 2].say("q", number)
    seen, path, node = [], "/v2/queues/q/messages?limit=1&echo=true", 0
    while (listing := success((here, there)[node].get(path)))["messages"]:
        seen += [message["body"] for message in listing["messages"]]
        path, node = next_link(listing), 1 - node
    assert seen == list(range(6))


def test_a_repeat_at_another_node_is_a_repeat(here: Api, there: Api) -> None:
    post = {"json": {"messages": [{"body": 1}]}, "headers": {"Idempotency-Key": "k"}}
    first = here.post("/v2/queues/q/messages", **post)
    again = there.post("/v2/queues/q/messages", **post)
    assert success(again, 201) == success(first, 201)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert there.bodies("q") == [1]
