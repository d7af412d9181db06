"""Names of queues and ids of messages and claims."""

from __future__ import annotations

import re

import pytest

from tests.support.http import NAME, PATCH_TYPE, Api, Wire, empty, refused, request_bytes, success

GOOD = ["a", "A", "7", "1234567890", "stats", "messages", "a.b", ".a", "a.", "...", "_", "-", "-_.",
        "q" * 64, "_9.-Z"]  # fmt: skip
BAD = {
    "65_characters": "q" * 65,
    "exclamation": "a!b",
    "space": "a%20b",
    "encoded_line_feed_at_the_end": "a%0A",
    "carriage_return": "a%0D",
    "nul": "a%00",
    "umlaut": "%C3%BC",
    "broken_utf_8": "%FF%FE",
    "latin_1": "%FC",
    "arabic_digit": "%D9%A3",
    "full_width": "%EF%BD%81",
    "comma": "a,b",
    "colon": "a:b",
    "semicolon": "a;b",
    "star": "*",
    "at": "a@b",
    "plus": "a+b",
    "tilde": "~a",
    "percent": "%25",
    "half_an_escape": "a%2",
    "no_escape": "a%zz",
    "bracket": "a%5B",
    "brace": "%7Bqueue%7D",
    "backslash": "a%5Cb",
    "encoded_dot": "%2E",
    "encoded_dots": "%2e%2E",
    "half_encoded_dots": ".%2e",
}


@pytest.mark.parametrize("name", GOOD)
def test_names_that_work_everywhere(api: Api, name: str) -> None:
    created = empty(api.put(f"/v2/queues/{name}"), 201)
    assert created.headers["Location"] == f"/v2/queues/{name}"
    assert success(api.get("/v2/queues"))["queues"] == [
        {"name": name, "href": f"/v2/queues/{name}"}
    ]
    [id] = api.say(name, 1)
    assert success(api.get(f"/v2/queues/{name}/messages/{id}"))["href"] == (
        f"/v2/queues/{name}/messages/{id}"
    )
    claim = api.claim(name)
    assert claim.location == f"/v2/queues/{name}/claims/{claim.id}"
    success(api.get(claim.location))
    success(api.get(f"/v2/queues/{name}/stats"))
    empty(api.post(f"/v2/queues/{name}/purge"))
    empty(api.delete(f"/v2/queues/{name}"))
    assert api.queue_names() == []


SUB_RESOURCES = [
    ("PUT", ""),
    ("GET", ""),
    ("HEAD", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("GET", "/stats"),
    ("POST", "/purge"),
    ("GET", "/messages"),
    ("POST", "/messages"),
    ("DELETE", "/messages?ids=x"),
    ("GET", "/messages/m"),
    ("DELETE", "/messages/m"),
    ("POST", "/claims"),
    ("GET", "/claims/c"),
    ("PATCH", "/claims/c"),
    ("DELETE", "/claims/c"),
]


@pytest.mark.parametrize("case", BAD)
def test_bad_names_are_refused_on_every_resource(api: Api, case: str) -> None:
    headers = [*api.headers.items(), ("Content-Type", PATCH_TYPE)]
    with Wire(api.url) as wire:
        for method, rest in SUB_RESOURCES:
            path = f"/v2/queues/{BAD[case]}{rest}"
            answer = wire.ask(request_bytes(method, path, headers, b"[]"), method)
            assert answer is not None
            assert answer.status == 400, (method, path)
            if method != "HEAD":
                assert answer.json()["title"] == NAME
    assert api.queue_names() == []


@pytest.mark.parametrize("name", [".", ".."])
def test_q49_names_that_mean_something_else_in_a_path_are_refused(api: Api, name: str) -> None:
    with Wire(api.url) as wire:
        answer = wire.ask(request_bytes("PUT", f"/v2/queues/{name}", api.headers.items(), b""))
        assert answer is not None
        assert (answer.status, answer.json()["title"]) == (400, NAME)
        answer = wire.ask(request_bytes("GET", f"/v2/queues/{name}/stats", api.headers.items()))
        assert answer is not None
        assert (answer.status, answer.json()["title"]) == (400, NAME)


def test_names_are_case_sensitive(api: Api) -> None:
    api.say("q", 1)
    api.say("Q", 2)
    assert api.bodies("q") == [1]
    assert api.queue_names() == ["Q", "q"]


def test_a_refused_name_says_what_is_allowed(api: Api) -> None:
    description = refused(api.get("/v2/queues/a!b"), 400, NAME)
    assert re.search("64|letters|characters", description)


def test_ids_are_opaque_and_safe_in_paths_and_lists(api: Api) -> None:
    ids = api.say("q", *range(20))
    claim = api.claim("q")
    assert len(set(ids)) == 20
    for id in [*ids, claim.id]:
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", id, re.ASCII)


MALFORMED = [
    "x",
    "-",
    "%20x",
    "%00",
    "%FF",
    "%C3%BC",
    "a=b",
    "q" * 300,
    "0",
    "%25",
    "a,b",
    "*",
    "'",
]


@pytest.mark.parametrize("id", MALFORMED)
def test_a_malformed_id_is_an_unknown_one(api: Api, id: str) -> None:
    api.say("q", 1)
    with Wire(api.url) as wire:

        def status(method: str, path: str, body: bytes | None = None) -> int:
            answer = wire.ask(request_bytes(method, path, api.headers.items(), body), method)
            assert answer is not None
            return answer.status

        assert status("GET", f"/v2/queues/q/messages/{id}") == 404
        assert status("DELETE", f"/v2/queues/q/messages/{id}") == 204
        assert status("GET", f"/v2/queues/q/messages?ids={id}") == 404
        assert status("DELETE", f"/v2/queues/q/messages?ids={id}") == 204
        assert status("GET", f"/v2/queues/q/claims/{id}") == 404
        assert status("PATCH", f"/v2/queues/q/claims/{id}", b"{}") == 404
        assert status("DELETE", f"/v2/queues/q/claims/{id}") == 204
    assert api.counts("q") == (1, 0, 1)
