"""Queues: create, show, look for, delete, list."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.http import API, BODY, NOT_FOUND, Api, empty, next_link, refused, success

DEFAULTS = {
    "_max_messages_post_size": 262144,
    "_default_message_ttl": 3600,
    "_default_message_delay": 0,
    "_dead_letter_queue": None,
    "_dead_letter_queue_messages_ttl": None,
    "_max_claim_count": None,
    "_enable_encrypt_messages": False,
}


@pytest.mark.parametrize("body", [None, b"", b"{}"])
def test_creating_a_queue(api: Api, body: bytes | None) -> None:
    created = empty(api.put("/v2/queues/q", body=body), 201)
    assert created.headers["Location"] == "/v2/queues/q"
    assert api.queue_names() == ["q"]
    assert api.metadata("q") == DEFAULTS


def test_q1_creating_it_again_changes_nothing(api: Api) -> None:
    api.create("q", owner="me")
    again = empty(api.put("/v2/queues/q", json={"owner": "you", "_default_message_ttl": 60}))
    assert again.headers["Location"] == "/v2/queues/q"
    assert api.metadata("q") == {"owner": "me", **DEFAULTS}


def test_q1_but_the_metadata_is_checked(api: Api) -> None:
    api.create("q", owner="me")
    refused(api.put("/v2/queues/q", json={"_default_message_ttl": 1}), 400, API)
    refused(api.put("/v2/queues/q", body=b"["), 400, BODY)
    assert api.metadata("q")["owner"] == "me"


@pytest.mark.parametrize(
    "value",
    [1, 1.5, "text", "", None, True, False, [], {}, [1, [2, {"a": None}]], {"deep": {"er": [1]}}],
)
def test_metadata_is_any_json(api: Api, value: Any) -> None:
    api.create("q", key=value)
    assert api.metadata("q") == {"key": value, **DEFAULTS}


@pytest.mark.parametrize(
    "key", ["", " ", "ü", "_ttl", "_unknown", "a/b", "a~b", "k" * 1000, "\x00"]
)
def test_keys_of_metadata_are_free(api: Api, key: str) -> None:
    empty(api.put("/v2/queues/q", json={key: 1}), 201)
    assert api.metadata("q")[key] == 1


def test_metadata_keeps_the_digits_of_numbers(api: Api) -> None:
    document = '{"a":0.10000000000000000001,"b":1.50,"c":9223372036854775807,"d":-0.0}'
    empty(api.put("/v2/queues/q", body=document), 201)
    shown = api.get("/v2/queues/q").text.replace(" ", "")
    for member in document.strip("{}").split(","):
        assert member in shown


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_q2_looking_at_a_missing_queue_does_not_create_it(api: Api, method: str) -> None:
    api.request(method, "/v2/queues/q")
    assert api.queue_names() == []


def test_q2_a_missing_queue_shows_the_defaults(api: Api) -> None:
    assert api.metadata("q") == DEFAULTS


def test_q3_head_tells_whether_a_queue_exists(api: Api) -> None:
    assert api.head("/v2/queues/q").status_code == 404
    api.create("q")
    empty(api.head("/v2/queues/q"))
    assert api.head("/v2/queues/q").content == b""
    empty(api.delete("/v2/queues/q"))
    missing = api.head("/v2/queues/q")
    assert missing.status_code == 404
    assert missing.content == b""


def test_metadata_has_a_largest_size(api: Api) -> None:
    def document(size: int) -> bytes:
        return json.dumps({"k": "x" * (size - len('{"k":""}'))}, separators=(",", ":")).encode()

    assert len(document(65536)) == 65536
    refused(api.put("/v2/queues/q", body=document(65537)), 400, API, "65536")
    assert api.queue_names() == []
    empty(api.put("/v2/queues/q", body=document(65536)), 201)
    refused(api.put("/v2/queues/q", body=document(65537)), 400, API)
    refused(api.put("/v2/queues/r", body=b" " * 65536 + b"{}"), 400, API)


def test_deleting_a_queue_takes_all_with_it(api: Api) -> None:
    api.create("q", owner="me")
    claimed, free = api.say("q", 1, 2)
    claim = api.claim("q", limit=1)
    empty(api.delete("/v2/queues/q"))
    assert api.queue_names() == []
    for id in (claimed, free):
        refused(api.get(f"/v2/queues/q/messages/{id}"), 404, NOT_FOUND)
    refused(api.get(claim.location), 404, NOT_FOUND)
    assert api.metadata("q") == DEFAULTS
    api.create("q")
    assert api.bodies("q", "echo=true&include_claimed=true") == []


def test_deleting_what_is_not_there_is_fine(api: Api) -> None:
    empty(api.delete("/v2/queues/q"))
    api.create("q")
    empty(api.delete("/v2/queues/q"))
    empty(api.delete("/v2/queues/q"))


def test_q24_claims_of_a_deleted_queue_do_not_count_in_its_successor(api: Api) -> None:
    api.say("q", 1, 2, 3)
    claim = api.claim("q", limit=2)
    empty(api.delete("/v2/queues/q"))
    api.say("q", 4)
    assert api.counts("q") == (1, 0, 1)
    refused(api.get(claim.location), 404, NOT_FOUND)
    refused(api.patch(claim.location, json={}), 404, NOT_FOUND)
    empty(api.delete(claim.location))
    assert api.claim("q").bodies == [4]


def test_a_queue_with_settings_forgets_them_when_deleted(api: Api) -> None:
    api.create("q", _default_message_ttl=60)
    api.say("q", 1)
    assert api.listed("q")[0]["ttl"] == 60
    empty(api.delete("/v2/queues/q"))
    api.say("q", 2)
    assert api.listed("q")[0]["ttl"] == 3600
    empty(api.delete("/v2/queues/q"))
    api.create("q", _default_message_ttl=70)
    api.say("q", 3)
    assert api.listed("q")[0]["ttl"] == 70


def test_listed_queues_have_name_and_href_and_metadata_if_asked(api: Api) -> None:
    api.create("a", owner="me")
    api.say("b", 1)
    assert success(api.get("/v2/queues"))["queues"] == [
        {"name": "a", "href": "/v2/queues/a"},
        {"name": "b", "href": "/v2/queues/b"},
    ]
    detailed = success(api.get("/v2/queues?detailed=true"))["queues"]
    assert detailed == [
        {"name": "a", "href": "/v2/queues/a", "metadata": {"owner": "me", **DEFAULTS}},
        {"name": "b", "href": "/v2/queues/b", "metadata": DEFAULTS},
    ]
    assert detailed[0]["metadata"] == api.metadata("a")


def test_the_count_is_of_all_queues_of_the_project(api: Api) -> None:
    for number in range(25):
        api.create(f"q{number:02}", odd=number % 2)
    api.other_project().create("theirs")
    assert "count" not in success(api.get("/v2/queues"))
    assert "count" not in success(api.get("/v2/queues?with_count=false"))
    for query in ("limit=1", "limit=20", "odd=1", "name=q01", "marker=zz", "name=nothing"):
        listing = success(api.get(f"/v2/queues?with_count=true&{query}"))
        assert listing["count"] == 25
    listing = success(api.get("/v2/queues?limit=1&with_count=true"))
    assert success(api.get(next_link(listing)))["count"] == 25


def test_q56_the_count_of_nothing_is_zero(api: Api) -> None:
    assert success(api.get("/v2/queues?with_count=true")) == {
        "queues": [],
        "links": [],
        "count": 0,
    }


FILTERED: dict[str, dict[str, Any]] = {
    "a": {"owner": "me", "size": 5},
    "b": {"owner": "me", "size": "5"},
    "c": {"owner": "you", "size": 6, "_default_message_ttl": 60},
    "d": {"owner": ["me"], "size": 5.5, "flag": True},
    "e": {"owner": None, "_ttl": "x", "größe": "groß"},
    "f": {},
}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("owner=me", "ab"),
        ("owner=you", "c"),
        ("owner=ME", ""),
        ("owner=m", ""),
        ("size=5", "ab"),
        ("size=6", "c"),
        ("size=%2B5", "a"),
        ("owner=me&size=5", "ab"),
        ("owner=you&size=5", ""),
        ("owner=me&owner=you", "abc"),
        ("owner=you&owner=me&size=6", "c"),
        ("size=5&size=6", "abc"),
        ("owner=", "abcdef"),
        ("unknown=1", ""),
        ("_ttl=x", "e"),
        ("gr%C3%B6%C3%9Fe=gro%C3%9F", "e"),
        ("_default_message_ttl=60", "c"),
        ("_default_message_ttl=3600", ""),
        ("_max_messages_post_size=262144", ""),
        ("_enable_encrypt_messages=false", ""),
        ("Limit=2", ""),
        ("name=b", "b"),
        ("name=b&owner=me", "b"),
        ("name=b&owner=you", ""),
    ],
)
def test_q58_listings_are_filtered_by_stored_metadata(api: Api, query: str, expected: str) -> None:
    for name, metadata in FILTERED.items():
        api.create(name, **metadata)
    listing = success(api.get(f"/v2/queues?{query}"))
    assert [entry["name"] for entry in listing["queues"]] == list(expected)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("job", ["job-1", "my-job"]),
        ("job-", ["job-1"]),
        ("Job", ["Job"]),
        ("b.c", ["ab.cd"]),
        (".", ["ab.cd"]),
        ("%5Ejob", []),
        ("j.b", []),
        (".*", []),
        ("%25", []),
        ("_", []),
        ("*", []),
        ("", ["Job", "ab.cd", "abxcd", "job-1", "my-job"]),
        ("%FF", []),
        ("%00", []),
        ("x" * 1000, []),
    ],
)
def test_q57_the_name_filter_is_a_part_of_the_name(
    api: Api, part: str, expected: list[str]
) -> None:
    for name in ("job-1", "my-job", "Job", "ab.cd", "abxcd"):
        api.create(name)
    listing = success(api.get(f"/v2/queues?name={part}"))
    assert [entry["name"] for entry in listing["queues"]] == expected


LAZY = [
    ("GET", "/v2/queues/q", None, 200),
    ("GET", "/v2/queues/q/stats", None, 200),
    ("GET", "/v2/queues/q/messages", None, 200),
    ("DELETE", "/v2/queues/q/messages?pop=5", None, 200),
    ("POST", "/v2/queues/q/claims", b"", 204),
    ("POST", "/v2/queues/q/purge", b"", 204),
    ("DELETE", "/v2/queues/q", None, 204),
    ("DELETE", "/v2/queues/q/messages/m", None, 204),
    ("DELETE", "/v2/queues/q/messages/m?claim_id=c", None, 204),
    ("DELETE", "/v2/queues/q/messages?ids=m,n", None, 204),
    ("DELETE", "/v2/queues/q/claims/c", None, 204),
    ("GET", "/v2/queues/q/messages/m", None, 404),
    ("GET", "/v2/queues/q/messages?ids=m", None, 404),
    ("GET", "/v2/queues/q/claims/c", None, 404),
    ("PATCH", "/v2/queues/q/claims/c", b"{}", 404),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), LAZY)
def test_a_missing_queue_is_an_empty_one_and_stays_missing(
    api: Api, method: str, path: str, body: bytes | None, status: int
) -> None:
    for _ in range(2):
        answer = api.request(method, path, body=body)
        assert answer.status_code == status
        if status == 404:
            assert answer.json()["title"] == NOT_FOUND
    assert api.queue_names() == []


def test_patch_of_a_missing_queue(api: Api) -> None:
    refused(api.change("q", [{"op": "add", "path": "/metadata/a", "value": 1}]), 404, NOT_FOUND)
    refused(api.change("q", []), 404, NOT_FOUND)
    assert api.queue_names() == []


def test_posting_creates_the_queue_without_metadata(api: Api) -> None:
    api.say("q", 1)
    assert api.queue_names() == ["q"]
    assert api.metadata("q") == DEFAULTS
