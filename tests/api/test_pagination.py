"""Listings come in pages: limits, markers, links."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.http import API, Api, empty, next_link, refused, success
from tests.support.node import Node


def query_of(link: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(link).query)


def test_a_walk_of_ten_by_three_is_four_pages_and_an_empty_one(api: Api) -> None:
    api.say("q", *range(10))
    pages = api.pages("/v2/queues/q/messages?limit=3&echo=true", "messages")
    assert [[m["body"] for m in page] for page in pages] == [
        [0, 1, 2],
        [3, 4, 5],
        [6, 7, 8],
        [9],
        [],
    ]


def test_a_walk_of_ten_queues_by_three(api: Api) -> None:
    for number in range(10):
        api.create(f"q{number}")
    pages = api.pages("/v2/queues?limit=3", "queues")
    assert [len(page) for page in pages] == [3, 3, 3, 1, 0]
    assert [entry["name"] for page in pages for entry in page] == [f"q{n}" for n in range(10)]


@pytest.mark.parametrize(
    ("path", "items"), [("queues", "queues"), ("queues/q/messages", "messages")]
)
def test_an_empty_page_has_no_link(api: Api, path: str, items: str) -> None:
    assert success(api.get(f"/v2/{path}")) == {items: [], "links": []}


def test_q61_a_page_that_is_not_empty_has_one_link_even_at_the_end(api: Api) -> None:
    api.say("q", 1)
    for path in ("/v2/queues", "/v2/queues/q/messages?echo=true"):
        listing = success(api.get(path))
        assert next_link(listing).startswith(path.partition("?")[0])
        assert success(api.get(next_link(listing)))["links"] == []


def test_pages_have_ten_items_unless_told_otherwise(api: Api) -> None:
    for number in range(12):
        api.create(f"q{number:02}")
    api.say("q00", *range(21))
    assert len(success(api.get("/v2/queues"))["queues"]) == 10
    assert len(api.listed("q00", "echo=true")) == 10
    assert len(api.listed("q00", "echo=true&limit=20")) == 20
    assert query_of(next_link(success(api.get("/v2/queues")))).keys() == {"marker"}


def test_the_largest_page_is_a_setting(node_with: Callable[..., Node]) -> None:
    api = node_with(max_queues_per_page=5, max_messages_per_page=7).api()
    for number in range(6):
        api.create(f"q{number}")
    api.say("q0", *range(8))
    assert len(success(api.get("/v2/queues?limit=5"))["queues"]) == 5
    refused(api.get("/v2/queues?limit=6"), 400, API, "5")
    assert len(api.listed("q0", "echo=true&limit=7")) == 7
    refused(api.get("/v2/queues/q0/messages?limit=8"), 400, API, "7")


def test_links_of_messages_keep_the_parameters(api: Api) -> None:
    api.say("q", 1, 2)
    link = next_link(
        success(
            api.get(
                "/v2/queues/q/messages?limit=1&echo=1&include_claimed=yes&include_delayed=on&x=y"
            )
        )
    )
    query = query_of(link)
    assert query.pop("marker")
    assert query == {
        "limit": ["1"],
        "echo": ["true"],
        "include_claimed": ["true"],
        "include_delayed": ["true"],
    }


def test_links_of_queues_keep_the_parameters_and_filters(api: Api) -> None:
    for name in ("job-1", "job-2", "job-3"):
        api.create(name, owner="me", size=3)
    path = "/v2/queues?limit=1&detailed=t&with_count=on&name=job&owner=me&size=3"
    listing = success(api.get(path))
    query = query_of(next_link(listing))
    assert query == {
        "limit": ["1"],
        "detailed": ["true"],
        "with_count": ["true"],
        "name": ["job"],
        "owner": ["me"],
        "size": ["3"],
        "marker": ["job-1"],
    }
    names = [entry["name"] for page in api.pages(path, "queues") for entry in page]
    assert names == ["job-1", "job-2", "job-3"]


def test_the_marker_of_a_link_replaces_that_of_the_request(api: Api) -> None:
    for name in "abc":
        api.create(name)
    link = next_link(success(api.get("/v2/queues?limit=1&marker=a")))
    assert query_of(link)["marker"] == ["b"]


def test_q5_a_walk_by_one_sees_each_message_once(api: Api) -> None:
    api.say("q", *range(5))
    pages = api.pages("/v2/queues/q/messages?limit=1&echo=true", "messages")
    assert [[m["body"] for m in page] for page in pages] == [[0], [1], [2], [3], [4], []]


def test_q5_a_walk_by_one_sees_each_queue_once(api: Api) -> None:
    for name in "abc":
        api.create(name)
    pages = api.pages("/v2/queues?limit=1", "queues")
    assert [[entry["name"] for entry in page] for page in pages] == [["a"], ["b"], ["c"], []]


def test_q5_a_marker_outlives_its_message(api: Api) -> None:
    ids = api.say("q", *range(4))
    link = next_link(success(api.get("/v2/queues/q/messages?limit=2&echo=true")))
    for id in ids[:3]:
        empty(api.delete(f"/v2/queues/q/messages/{id}"))
    assert [m["body"] for m in success(api.get(link))["messages"]] == [3]


def test_q5_a_marker_outlives_a_purge_and_meets_only_what_came_later(api: Api) -> None:
    api.say("q", 1, 2)
    link = next_link(success(api.get("/v2/queues/q/messages?echo=true")))
    empty(api.post("/v2/queues/q/purge"))
    api.say("q", 3)
    assert [m["body"] for m in success(api.get(link))["messages"]] == [3]


def test_a_marker_waits_for_what_is_posted_later(api: Api) -> None:
    api.say("q", 1)
    link = next_link(success(api.get("/v2/queues/q/messages?echo=true")))
    assert success(api.get(link))["messages"] == []
    api.say("q", 2)
    assert [m["body"] for m in success(api.get(link))["messages"]] == [2]


@pytest.mark.parametrize(
    "marker", ["x", "0", "-1", "%00", "%FF", "1" * 300, "a,b", "%C3%BC", "1.5", "null", "%20x"]
)
def test_q6_a_malformed_marker_gives_an_empty_page(api: Api, marker: str) -> None:
    api.say("q", 1)
    listing = success(api.get(f"/v2/queues/q/messages?echo=true&marker={marker}"))
    assert listing == {"messages": [], "links": []}


def test_q6_a_marker_of_another_queue_gives_an_empty_page(api: Api) -> None:
    api.say("p", 1)
    [marker] = query_of(next_link(success(api.get("/v2/queues/p/messages?echo=true"))))["marker"]
    api.say("q", 1, 2)
    assert api.listed("q", f"echo=true&marker={marker}") == []
    other = api.other_project()
    other.say("p", 1, 2)
    assert other.listed("p", f"echo=true&marker={marker}") == []


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        ("", ["B", "a", "c"]),
        ("B", ["a", "c"]),
        ("Z", ["a", "c"]),
        ("b", ["c"]),
        ("zz", []),
        ("a!", ["c"]),
        ("%C3%BC", []),
        ("A%00", ["B", "a", "c"]),
        ("c", []),
    ],
)
def test_q6_the_marker_of_a_queue_need_not_exist(
    api: Api, marker: str, expected: list[str]
) -> None:
    for name in ("c", "B", "a"):
        api.create(name)
    listing = success(api.get(f"/v2/queues?marker={marker}"))
    assert [entry["name"] for entry in listing["queues"]] == expected


def test_queues_come_in_byte_order(api: Api) -> None:
    names = ["Z", "a", "-", ".", "_", "0", "9", "aa", "a.", "a-", "A", "10", "2"]
    names.remove(".")
    for name in names:
        api.create(name)
    assert api.queue_names() == sorted(names, key=lambda name: name.encode())


def test_q4_filters_come_before_the_limit(api: Api) -> None:
    other = api.other_client()
    for number in range(4):
        api.say("q", f"mine {number}")
        other.say("q", f"theirs {number}")
    pages = api.pages("/v2/queues/q/messages?limit=3", "messages")
    assert [[m["body"] for m in page] for page in pages] == [
        ["theirs 0", "theirs 1", "theirs 2"],
        ["theirs 3"],
        [],
    ]


def test_q4_claimed_and_delayed_messages_do_not_shorten_pages(api: Api) -> None:
    api.say("q", *range(12))
    assert api.claim("q", limit=10).bodies == list(range(10))
    api.say("q", "later", delay=900)
    api.say("q", 12)
    assert api.bodies("q", "echo=true&limit=3") == [10, 11, 12]


def test_q4_filtered_queues_fill_the_page(api: Api) -> None:
    for number in range(25):
        api.create(f"q{number:02}", odd=number % 2)
    pages = api.pages("/v2/queues?limit=5&odd=1", "queues")
    assert [len(page) for page in pages] == [5, 5, 2, 0]


def test_q7_claimed_messages_are_listed_without_a_marker_too(api: Api) -> None:
    api.say("q", 1, 2)
    api.claim("q", limit=1)
    assert api.bodies("q", "echo=true&include_claimed=true") == [1, 2]
