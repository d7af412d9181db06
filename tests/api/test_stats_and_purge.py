"""Counting a queue's messages, and removing all of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from queueing.core.clock import ManualClock
from tests.support.http import API, BODY, Api, empty, refused, success

NOTHING = {"claimed": 0, "free": 0, "total": 0}


def test_stats_of_a_missing_and_of_an_empty_queue(api: Api) -> None:
    assert success(api.get("/v2/queues/q/stats")) == {"messages": NOTHING}
    assert api.queue_names() == []
    api.create("q")
    assert success(api.get("/v2/queues/q/stats")) == {"messages": NOTHING}


def test_stats_of_one_message(timed: Api, clock: ManualClock) -> None:
    [id] = timed.say("q", 1)
    created = timed.stats("q")["oldest"]["created"]
    assert timed.stats("q") == {
        "claimed": 0,
        "free": 1,
        "total": 1,
        "oldest": {"href": f"/v2/queues/q/messages/{id}", "age": 0, "created": created},
        "newest": {"href": f"/v2/queues/q/messages/{id}", "age": 0, "created": created},
    }
    clock.advance(7)
    assert timed.stats("q")["oldest"]["age"] == 7


def test_created_is_utc_to_the_second(timed: Api, clock: ManualClock) -> None:
    start = clock.now()
    timed.say("q", 1)
    clock.advance(59.9)
    timed.say("q", 2)
    stats = timed.stats("q")
    for end, posted in (("oldest", start), ("newest", start + 59.9)):
        created = stats[end]["created"]
        assert created == datetime.fromtimestamp(int(posted), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (stats["oldest"]["age"], stats["newest"]["age"]) == (59, 0)


def test_stats_count_free_claimed_and_delayed(timed: Api, clock: ManualClock) -> None:
    one, *_, four = timed.say("q", 1, 2, 3, 4)
    clock.advance(38)
    [five] = timed.say("q", 5, delay=900)
    claim = timed.claim("q", limit=2)
    assert timed.counts("q") == (3, 2, 5)
    clock.advance(2)
    stats = timed.stats("q")
    assert stats["oldest"]["href"] == f"/v2/queues/q/messages/{one}"
    assert stats["oldest"]["age"] == 40
    assert stats["newest"]["href"] == f"/v2/queues/q/messages/{five}"
    assert stats["newest"]["age"] == 2
    assert stats["oldest"].keys() == stats["newest"].keys() == {"href", "age", "created"}
    empty(timed.delete(f"/v2/queues/q/messages/{one}?claim_id={claim.id}"))
    assert timed.counts("q") == (3, 1, 4)
    assert timed.stats("q")["oldest"]["href"].endswith(claim.message_ids[1])
    empty(timed.delete(claim.location))
    assert timed.counts("q") == (4, 0, 4)
    empty(timed.delete(f"/v2/queues/q/messages/{five}"))
    assert timed.stats("q")["newest"]["href"].endswith(four)


def test_q11_stats_are_exact_when_claims_and_messages_expire(
    timed: Api, clock: ManualClock
) -> None:
    timed.say("q", "short", ttl=60)
    [long] = timed.say("q", "long", ttl=1000)
    timed.say("q", "delayed", ttl=200, delay=100)
    assert timed.claim("q", limit=1, ttl=100, grace=60).bodies == ["short"]
    assert timed.counts("q") == (2, 1, 3)
    clock.advance(99)
    assert timed.counts("q") == (2, 1, 3)
    clock.advance(1)  # the claim is over; what it held lives on for the grace
    assert timed.counts("q") == (3, 0, 3)
    clock.advance(60)
    assert timed.counts("q") == (2, 0, 2)
    assert timed.stats("q")["oldest"]["href"].endswith(long)
    clock.advance(40)
    assert timed.counts("q") == (1, 0, 1)
    assert timed.stats("q")["newest"]["href"].endswith(long)
    clock.advance(800)
    assert timed.stats("q") == NOTHING


def test_q12_stats_show_no_body_and_no_claim(api: Api) -> None:
    api.say("q", "secret")
    claim = api.claim("q")
    answer = api.get("/v2/queues/q/stats")
    assert "secret" not in answer.text
    assert claim.id not in answer.text
    assert "?" not in answer.text


def test_stats_do_not_depend_on_who_asks(api: Api) -> None:
    api.say("q", 1)
    api.other_client().say("q", 2)
    assert api.counts("q") == api.other_client().counts("q") == (2, 0, 2)


@pytest.fixture
def full(api: Api) -> Api:
    """A queue with a free, a claimed and a delayed message, and metadata."""
    api.create("q", owner="me")
    api.say("q", "claimed", "free")
    api.claim("q", limit=1)
    api.say("q", "delayed", delay=900)
    return api


@pytest.mark.parametrize(
    "body",
    [None, b"", b'{"resource_types": ["messages"]}',
     b'{"resource_types": ["subscriptions", "messages"]}',
     b'{"resource_types": ["messages", "messages"], "unknown": 1}'],
)  # fmt: skip
def test_q23_purge_removes_every_message_and_keeps_the_queue(full: Api, body: bytes | None) -> None:
    empty(full.post("/v2/queues/q/purge", body=body))
    assert full.counts("q") == (0, 0, 0)
    assert full.bodies("q", "echo=true&include_claimed=true&include_delayed=true") == []
    assert full.metadata("q")["owner"] == "me"
    full.say("q", "new")
    assert full.claim("q").bodies == ["new"]


@pytest.mark.parametrize("types", [[], ["subscriptions"]])
def test_purge_of_other_things_keeps_messages(full: Api, types: list[str]) -> None:
    empty(full.post("/v2/queues/q/purge", json={"resource_types": types}))
    assert full.counts("q") == (2, 1, 3)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"unknown": 1},
        {"resource_types": None},
        {"resource_types": "messages"},
        {"resource_types": {"messages": True}},
        {"resource_types": 5},
        {"resource_types": True},
        {"resource_types": ["message"]},
        {"resource_types": ["messages", "queues"]},
        {"resource_types": ["Messages"]},
        {"resource_types": [["messages"]]},
        {"resource_types": [None]},
        {"resource_types": ["messages", 5]},
        {"resource_types": [""]},
    ],
)
def test_q19_purge_of_unknown_things_is_refused(full: Api, document: Any) -> None:
    refused(full.post("/v2/queues/q/purge", json=document), 400, API)
    assert full.counts("q") == (2, 1, 3)


@pytest.mark.parametrize("body", [b"{", b" ", b"messages", b"null", b"[]", b'["messages"]'])
def test_q19_purge_needs_an_object(full: Api, body: bytes) -> None:
    refused(full.post("/v2/queues/q/purge", body=body), 400, BODY)
    assert full.counts("q") == (2, 1, 3)


def test_purge_of_a_missing_queue(api: Api) -> None:
    empty(api.post("/v2/queues/q/purge"))
    assert api.queue_names() == []


def test_claims_of_a_purged_queue_are_empty(full: Api) -> None:
    full.say("q", 2)
    claim = full.claim("q", limit=1)
    empty(full.post("/v2/queues/q/purge"))
    assert success(full.get(claim.location))["messages"] == []
