"""Messages: post, list, get."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from queueing.core.clock import ManualClock
from tests.support.http import (
    API,
    BODY,
    NOT_FOUND,
    Api,
    empty,
    refused,
    success,
)
from tests.support.node import Node

# Post


def test_posting_answers_with_the_places_of_the_messages(api: Api) -> None:
    messages = [{"body": {"event": "started"}, "ttl": 300}, {"body": "anything", "delay": 30}]
    answer = api.post("/v2/queues/q/messages", json={"messages": messages})
    posted = success(answer, 201)
    assert posted.keys() == {"resources"}
    hrefs = posted["resources"]
    assert all(re.fullmatch(r"/v2/queues/q/messages/[A-Za-z0-9_-]+", href) for href in hrefs)
    assert [success(api.get(href))["body"] for href in hrefs] == [{"event": "started"}, "anything"]
    assert success(api.get(answer.headers["Location"]))["messages"] == [
        success(api.get(href)) for href in hrefs
    ]


def test_the_location_of_a_long_post_is_the_collection(api: Api) -> None:
    """Thousands of ids make a header that clients and proxies do not take."""
    for count in (100, 101):
        answer = api.post("/v2/queues/q/messages", json={"messages": [{"body": 0}] * count})
        ids = [href.rsplit("/", 1)[1] for href in success(answer, 201)["resources"]]
        listed = f"?ids={','.join(ids)}" if count == 100 else ""
        assert answer.headers["Location"] == f"/v2/queues/q/messages{listed}"


@pytest.mark.parametrize(
    "body", [None, True, False, 0, 1.5, "", "text", [], {}, [None], {"a": {"b": [1, "ü"]}}]
)
def test_a_body_is_any_json(api: Api, body: Any) -> None:
    api.say("q", body)
    assert api.bodies("q") == [body]


def test_a_message_has_these_members_and_no_others(timed: Api, clock: ManualClock) -> None:
    [id] = timed.say("q", 1, ttl=300)
    clock.advance(8.9)
    message = {"id": id, "href": f"/v2/queues/q/messages/{id}", "ttl": 300, "age": 8, "body": 1}
    assert timed.listed("q") == [message]
    assert success(timed.get(message["href"])) == message
    assert success(timed.get(f"/v2/queues/q/messages?ids={id}")) == {"messages": [message]}


@pytest.mark.parametrize("ttl", [60, 61, 1209600])
def test_lifetimes_within_bounds(api: Api, ttl: int) -> None:
    api.say("q", 1, ttl=ttl)
    assert api.listed("q")[0]["ttl"] == ttl


def test_a_message_without_lifetime_has_that_of_the_queue_or_else_of_the_service(api: Api) -> None:
    api.say("p", 1)
    assert api.listed("p")[0]["ttl"] == 3600
    api.create("q", _default_message_ttl=77)
    api.say("q", 1)
    assert api.listed("q")[0]["ttl"] == 77


@pytest.mark.parametrize(
    "message",
    [
        {"ttl": 0},
        {"ttl": -1},
        {"ttl": 59},
        {"ttl": 1209601},
        {"ttl": 2**63 - 1},
        {"ttl": -(2**63)},
        {"delay": -1},
        {"delay": 901},
        {"delay": 2**63 - 1},
    ],
)
def test_numbers_out_of_bounds(api: Api, message: dict[str, Any]) -> None:
    post = {"messages": [{"body": 1}, {"body": 2, **message}]}
    refused(api.post("/v2/queues/q/messages", json=post), 400, API, next(iter(message)))
    assert api.queue_names() == []


@pytest.mark.parametrize("field", ["ttl", "delay"])
@pytest.mark.parametrize("value", [None, "60", 60.0, 60.5, True, False, [], [60], {}, ""])
def test_numbers_of_a_wrong_type(api: Api, field: str, value: Any) -> None:
    post = {"messages": [{"body": 1}, {"body": 2, field: value}]}
    refused(api.post("/v2/queues/q/messages", json=post), 400, BODY)
    assert api.queue_names() == []


@pytest.mark.parametrize("text", ["6e1", "60.0", "1e2", "-0.0", "1E400"])
def test_a_number_with_a_fraction_or_an_exponent_is_no_integer(api: Api, text: str) -> None:
    post = f'{{"messages": [{{"body": 1, "ttl": {text}}}]}}'
    refused(api.post("/v2/queues/q/messages", body=post), 400, BODY)


@pytest.mark.parametrize(
    "messages",
    [
        None,
        5,
        "messages",
        True,
        {},
        {"body": 1},
        ["messages"],
        [1],
        [None],
        [True],
        [[]],
        [[{"body": 1}]],
        [{}],
        [{"ttl": 60}],
        [{"Body": 1}],
        [{"body": 1}, {}],
        [{"body": 1}, None],
    ],
)
def test_q19_messages_of_a_wrong_shape(api: Api, messages: Any) -> None:
    refused(api.post("/v2/queues/q/messages", json={"messages": messages}), 400, BODY)
    assert api.queue_names() == []


@pytest.mark.parametrize(
    "document", [{"messages": []}, {}, {"Messages": [{"body": 1}]}, {"body": 1}, [], [{"body": 1}]]
)
def test_posts_without_messages(api: Api, document: Any) -> None:
    refused(api.post("/v2/queues/q/messages", json=document), 400, API)
    assert api.queue_names() == []


@pytest.mark.parametrize("body", [None, b"", b" ", b"null", b"5", b'"x"', b"{", b"messages"])
def test_posts_that_are_no_document(api: Api, body: bytes | None) -> None:
    refused(api.post("/v2/queues/q/messages", body=body), 400, BODY)
    assert api.queue_names() == []


def sized(size: int) -> bytes:
    frame = b'{"messages":[{"body":"%s"}]}'
    return frame % (b"x" * (size - len(frame) + 2))


def test_a_post_has_a_largest_size_white_space_included(api: Api) -> None:
    assert len(sized(262144)) == 262144
    success(api.post("/v2/queues/q/messages", body=sized(262144)), 201)
    refused(api.post("/v2/queues/q/messages", body=sized(262145)), 400, API, "262144")
    refused(api.post("/v2/queues/q/messages", body=sized(262144) + b" "), 400, API)
    refused(api.post("/v2/queues/q/messages", body=b" " * 10_000_000), 400, API)
    assert api.counts("q") == (1, 0, 1)


def test_a_queue_may_have_a_smaller_size(api: Api) -> None:
    api.create("q", _max_messages_post_size=100)
    success(api.post("/v2/queues/q/messages", body=sized(100)), 201)
    refused(api.post("/v2/queues/q/messages", body=sized(101)), 400, API, "100")
    refused(api.post("/v2/queues/q/messages", body=b"{" * 101), 400, API, "100")
    refused(api.post("/v2/queues/q/messages", body=b"{" * 100), 400, BODY)
    assert api.counts("q") == (1, 0, 1)
    success(
        api.change(
            "q", [{"op": "replace", "path": "/metadata/_max_messages_post_size", "value": 101}]
        )
    )
    success(api.post("/v2/queues/q/messages", body=sized(101)), 201)


def test_q25_a_refused_post_leaves_no_queue_behind(api: Api) -> None:
    refused(api.post("/v2/queues/q/messages", json={"messages": [{"body": 1, "ttl": 1}]}), 400, API)
    refused(api.post("/v2/queues/q/messages", body=b"{"), 400, BODY)
    assert api.queue_names() == []


def test_posts_are_kept_in_order(api: Api) -> None:
    other = api.other_client()
    for number in range(0, 12, 3):
        api.say("q", number, number + 1)
        other.say("q", number + 2)
    assert api.bodies("q") == list(range(12))


def test_what_a_broken_post_says_names_the_field(api: Api) -> None:
    for message, fragment in (
        ({"ttl": 60}, "body"),
        ({"body": 1, "ttl": "60"}, "ttl"),
        ({"body": 1, "delay": None}, "delay"),
    ):
        post = json.dumps({"messages": [{"body": 1}, message]})
        refused(api.post("/v2/queues/q/messages", body=post), 400, BODY, fragment)


# Expiry


@pytest.mark.parametrize("ttl", [60, 100])
def test_a_message_is_gone_once_its_lifetime_is_over(
    timed: Api, clock: ManualClock, ttl: int
) -> None:
    [id] = timed.say("q", 1, ttl=ttl)
    clock.advance(ttl - 1)
    assert timed.listed("q")[0]["age"] == ttl - 1
    clock.advance(1)
    assert timed.listed("q", "echo=true&include_claimed=true&include_delayed=true") == []
    refused(timed.get(f"/v2/queues/q/messages/{id}"), 404, NOT_FOUND)
    refused(timed.get(f"/v2/queues/q/messages?ids={id}"), 404, NOT_FOUND)
    assert timed.counts("q") == (0, 0, 0)
    assert not timed.claim("q")
    assert timed.pop("q", 1) == []
    empty(timed.delete(f"/v2/queues/q/messages/{id}"))
    empty(timed.delete(f"/v2/queues/q/messages/{id}?claim_id=x"))


# List


def test_listing_leaves_out_what_is_claimed_unless_asked(api: Api) -> None:
    api.say("q", 1, 2)
    claim = api.claim("q", limit=1)
    assert api.bodies("q", "echo=true") == [2]
    shown = api.listed("q", "echo=true&include_claimed=true")
    assert [message["body"] for message in shown] == [1, 2]
    assert shown[0]["href"] == f"/v2/queues/q/messages/{shown[0]['id']}?claim_id={claim.id}"
    assert "?" not in shown[1]["href"]


def test_listing_changes_nothing(api: Api) -> None:
    api.say("q", 1, 2)
    for _ in range(3):
        assert api.bodies("q") == [1, 2]
    assert api.counts("q") == (2, 0, 2)


def test_ids_switch_to_another_request_and_the_rest_is_not_looked_at(api: Api) -> None:
    [id] = api.say("q", 1)
    path = f"/v2/queues/q/messages?ids={id}&limit=x&echo=maybe&marker=%FF&include_claimed=2"
    assert len(success(api.get(path))["messages"]) == 1


# Get


def test_get_several_in_the_order_asked_each_once(api: Api) -> None:
    one, two, three = api.say("q", 1, 2, 3)
    path = f"/v2/queues/q/messages?ids={three},{one},nope,{three},{two},{one}"
    answer = success(api.get(path))
    assert answer.keys() == {"messages"}
    assert [message["body"] for message in answer["messages"]] == [3, 1, 2]


def test_get_finds_claimed_delayed_and_own_messages(api: Api) -> None:
    claimed, delayed = api.say("q", "claimed")[0], api.say("q", "delayed", delay=900)[0]
    claim = api.claim("q")
    answer = success(api.get(f"/v2/queues/q/messages?ids={claimed},{delayed}"))
    assert [message["body"] for message in answer["messages"]] == ["claimed", "delayed"]
    assert answer["messages"][0]["href"].endswith(f"?claim_id={claim.id}")
    assert success(api.get(f"/v2/queues/q/messages/{delayed}"))["body"] == "delayed"
    one = success(api.get(f"/v2/queues/q/messages/{claimed}"))
    assert one["href"] == f"/v2/queues/q/messages/{claimed}?claim_id={claim.id}"


def test_get_of_nothing(api: Api) -> None:
    api.create("q")
    refused(api.get("/v2/queues/q/messages?ids=x,y"), 404, NOT_FOUND)
    refused(api.get("/v2/queues/q/messages/x"), 404, NOT_FOUND)
    refused(api.get("/v2/queues/missing/messages?ids=x"), 404, NOT_FOUND)
    refused(api.get("/v2/queues/missing/messages/x"), 404, NOT_FOUND)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_number_of_ids(api: Api, method: str) -> None:
    ids = api.say("q", *range(20))
    twenty_one = ",".join([*ids, ids[0]])
    for path in (f"ids={twenty_one}", "ids=,", "ids=,,", "ids=,&ids=,", "ids=%2C"):
        refused(api.request(method, f"/v2/queues/q/messages?{path}"), 400, API)
    assert api.counts("q") == (20, 0, 20)
    answer = api.request(method, f"/v2/queues/q/messages?ids={','.join(ids)}")
    assert answer.status_code == (200 if method == "GET" else 204)


def test_number_of_ids_is_a_setting(node_with: Callable[..., Node]) -> None:
    api = node_with(max_queues_per_page=5, max_messages_per_page=7).api()
    ids = api.say("q", *range(8))
    refused(api.get(f"/v2/queues/q/messages?ids={','.join(ids)}"), 400, API, "7")
    assert len(success(api.get(f"/v2/queues/q/messages?ids={','.join(ids[:7])}"))["messages"]) == 7


def test_q63_repeated_ids_count_but_are_found_once(api: Api) -> None:
    [id] = api.say("q", 1)
    assert (
        len(success(api.get(f"/v2/queues/q/messages?ids={','.join([id] * 20)}"))["messages"]) == 1
    )
    refused(api.get(f"/v2/queues/q/messages?ids={','.join([id] * 21)}"), 400, API)
