"""Pop: take the oldest and delete them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from queueing.core.clock import ManualClock
from tests.support.http import (
    API,
    NOT_FOUND,
    PARAMETER,
    Api,
    refused,
    success,
)
from tests.support.node import Node


def test_pop_takes_the_oldest_and_deletes_them(timed: Api, clock: ManualClock) -> None:
    one, two, three = timed.say("q", 1, [2], {"a": 3}, ttl=500)
    clock.advance(443.5)
    popped = timed.pop("q", 2)
    assert [message.pop("claim_id", None) for message in popped] == [None, None]
    assert popped == [
        {"id": one, "age": 443, "ttl": 500, "body": 1, "claim_count": 0},
        {"id": two, "age": 443, "ttl": 500, "body": [2], "claim_count": 0},
    ]
    assert [message["id"] for message in timed.pop("q", 20)] == [three]
    answer = success(timed.delete("/v2/queues/q/messages?pop=1"))
    assert answer == {"messages": []}
    assert timed.counts("q") == (0, 0, 0)
    refused(timed.get(f"/v2/queues/q/messages/{one}"), 404, NOT_FOUND)


def test_pop_has_these_members_and_no_others(api: Api) -> None:
    api.say("q", 1)
    [message] = api.pop("q", 1)
    assert message.keys() == {"id", "age", "ttl", "body", "claim_id", "claim_count"}
    assert message["claim_id"] is None or isinstance(message["claim_id"], str)


def test_pop_leaves_claimed_and_delayed_messages(api: Api) -> None:
    api.say("q", "claimed", "free")
    api.say("q", "delayed", delay=900)
    api.claim("q", limit=1)
    assert [message["body"] for message in api.pop("q", 20)] == ["free"]
    assert api.counts("q") == (1, 1, 2)


def test_pop_takes_own_messages_too(api: Api) -> None:
    api.say("q", 1)
    assert len(api.pop("q", 1)) == 1


@pytest.mark.parametrize("count", ["0", "-1", "21", "999999999999999999999999"])
def test_pop_out_of_bounds(api: Api, count: str) -> None:
    api.say("q", 1)
    refused(api.delete(f"/v2/queues/q/messages?pop={count}"), 400, API)
    assert api.counts("q") == (1, 0, 1)


@pytest.mark.parametrize("count", ["x", "1.0", "true", "1_0", "%D9%A3", "None"])
def test_pop_of_no_number(api: Api, count: str) -> None:
    api.say("q", 1)
    refused(api.delete(f"/v2/queues/q/messages?pop={count}"), 400, PARAMETER)
    assert api.counts("q") == (1, 0, 1)


def test_pop_has_a_setting(node_with: Callable[..., Node]) -> None:
    api = node_with(max_messages_per_claim_or_pop=3).api()
    api.say("q", *range(5))
    refused(api.delete("/v2/queues/q/messages?pop=4"), 400, API, "3")
    refused(api.post("/v2/queues/q/claims?limit=4"), 400, API, "3")
    assert api.claim("q", limit=3).bodies == [0, 1, 2]


def test_a_claim_without_limit_is_never_larger_than_the_largest(
    node_with: Callable[..., Node],
) -> None:
    api = node_with(max_messages_per_claim_or_pop=3).api()
    api.say("q", *range(5))
    assert len(api.claim("q").messages) <= 3
