"""Projects: their header, and that nothing of one is seen or touched from another."""

from __future__ import annotations

import pytest

from tests.support.http import (
    API,
    DELETE,
    NAME,
    NOT_FOUND,
    Api,
    Wire,
    empty,
    refused,
    request_bytes,
    success,
)


@pytest.mark.parametrize(
    "project",
    [
        b"plain",
        b"with spaces inside",
        b"dots.and/slashes\\",
        b"*[a-z]+?^$(x)|y",
        b"%41%2F%00",
        b"a:b{c}",
        b"a,b",
        b"'; drop table queues; --",
        pytest.param("größe-日本".encode(), marks=pytest.mark.gunicorn_only),
        pytest.param(b"\xff\xfe\x80", marks=pytest.mark.gunicorn_only),
        b"p" * 256,
        pytest.param(b"\xfc" * 256, marks=pytest.mark.gunicorn_only),
    ],
)
def test_any_text_names_a_project(api: Api, project: bytes) -> None:
    def ask(method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        headers = [("X-Project-ID", project), ("Client-ID", api.client_id)]
        with Wire(api.url) as wire:
            answer = wire.ask(request_bytes(method, path, headers, body), method)
        assert answer is not None
        return answer.status, answer.body

    name = f"queue-{api.project}"[:64]  # projects with fixed names outlive the test
    assert ask("PUT", f"/v2/queues/{name}", b"")[0] == 201
    assert ask("POST", f"/v2/queues/{name}/messages", b'{"messages":[{"body":"here"}]}')[0] == 201
    assert b"here" in ask("GET", f"/v2/queues/{name}/messages?echo=true")[1]
    assert name.encode() in ask("GET", "/v2/queues?name=" + name)[1]
    assert api.queue_names() == []
    assert ask("DELETE", f"/v2/queues/{name}")[0] == 204


def test_surrounding_blanks_do_not_count(api: Api) -> None:
    api.create("q")
    with Wire(api.url) as wire:
        headers = [("X-Project-ID", f" \t{api.project}  "), ("Client-ID", api.client_id)]
        answer = wire.ask(request_bytes("GET", "/v2/queues", headers))
    assert answer is not None
    assert [entry["name"] for entry in answer.json()["queues"]] == ["q"]


@pytest.mark.parametrize("blank", ["", " ", "\t "])
def test_blank_project(api: Api, strict: Api, blank: str) -> None:
    for node in (api, strict):
        with Wire(node.url) as wire:
            headers = [("X-Project-ID", blank), ("Client-ID", node.client_id)]
            answer = wire.ask(request_bytes("GET", "/v2/queues", headers))
        assert answer is not None
        assert answer.status == 400
        assert answer.json()["title"] == "Empty project header not allowed"


def test_missing_project_in_strict_mode(strict: Api) -> None:
    for path in ("/v2/queues", "/v2/ping", "/v2/", "/v2/queues/q/stats"):
        refused(strict.get(path, headers={"X-Project-ID": None}), 400, "Project-Id Missing")


@pytest.mark.parametrize("path", ["/v2/queues/q", "/v2/queues/q/messages", "/v2/queues/q/stats"])
def test_project_of_more_than_256_characters(api: Api, path: str) -> None:
    refused(api.get(path, headers={"X-Project-ID": "p" * 257}), 400, NAME)


@pytest.mark.gunicorn_only
@pytest.mark.parametrize("path", ["/v2/queues/q", "/v2/queues/q/messages", "/v2/queues/q/stats"])
def test_project_of_more_than_256_bytes_beyond_ascii(api: Api, path: str) -> None:
    refused(api.get(path, headers={"X-Project-ID": b"\xfc" * 257}), 400, NAME)


def test_project_of_more_than_256_characters_where_no_queue_is_named(api: Api) -> None:
    assert api.get("/v2/queues", headers={"X-Project-ID": "p" * 257}).status_code == 400


def test_tenant_is_another_name_of_the_header(strict: Api) -> None:
    strict.create("q")
    headers = {"X-Project-ID": None, "X-Tenant-ID": strict.project}
    listing = success(strict.get("/v2/queues", headers=headers))
    assert [entry["name"] for entry in listing["queues"]] == ["q"]
    both = success(strict.get("/v2/queues", headers={"X-Tenant-ID": "another"}))
    assert [entry["name"] for entry in both["queues"]] == ["q"]


@pytest.fixture
def theirs(api: Api) -> Api:
    """Another project with the same queue: one message free, one claimed."""
    other = api.other_project()
    other.create("q", owner="them")
    other.say("q", "claimed", "free")
    assert other.claim("q", limit=1, ttl=77).bodies == ["claimed"]
    return other


def test_isolation_of_queues(api: Api, theirs: Api) -> None:
    assert api.queue_names() == []
    assert success(api.get("/v2/queues?with_count=true"))["count"] == 0
    assert api.head("/v2/queues/q").status_code == 404
    assert "owner" not in api.metadata("q")
    refused(api.change("q", []), 404, NOT_FOUND)
    empty(api.put("/v2/queues/q", json={"owner": "me"}), 201)
    assert theirs.metadata("q")["owner"] == "them"
    success(api.change("q", [{"op": "remove", "path": "/metadata/owner"}]))
    empty(api.post("/v2/queues/q/purge"))
    empty(api.delete("/v2/queues/q"))
    assert theirs.metadata("q")["owner"] == "them"
    assert theirs.counts("q") == (1, 1, 2)


def test_isolation_of_messages(api: Api, theirs: Api) -> None:
    claimed, free = (m["id"] for m in theirs.listed("q", "echo=true&include_claimed=true"))
    claim_id = theirs.listed("q", "echo=true&include_claimed=true")[0]["href"].split("=")[1]
    api.create("q")
    assert api.listed("q", "echo=true&include_claimed=true") == []
    assert api.counts("q") == (0, 0, 0)
    for id in (claimed, free):
        refused(api.get(f"/v2/queues/q/messages/{id}"), 404, NOT_FOUND)
        empty(api.delete(f"/v2/queues/q/messages/{id}"))
        empty(api.delete(f"/v2/queues/q/messages/{id}?claim_id={claim_id}"))
    refused(api.get(f"/v2/queues/q/messages?ids={claimed},{free}"), 404, NOT_FOUND)
    empty(api.delete(f"/v2/queues/q/messages?ids={claimed},{free}"))
    assert api.pop("q", 20) == []
    assert not api.claim("q")
    assert theirs.counts("q") == (1, 1, 2)


def test_isolation_of_claims(api: Api, theirs: Api) -> None:
    [claimed, _] = theirs.listed("q", "echo=true&include_claimed=true")
    claim_id = claimed["href"].split("=")[1]
    location = f"/v2/queues/q/claims/{claim_id}"
    [mine] = api.say("q", "mine")
    refused(api.get(location), 404, NOT_FOUND)
    refused(api.patch(location, json={"ttl": 300}), 404, NOT_FOUND)
    empty(api.delete(location))
    refused(api.delete(f"/v2/queues/q/messages/{mine}?claim_id={claim_id}"), 400, DELETE)
    assert success(theirs.get(location))["ttl"] == 77
    assert theirs.counts("q") == (1, 1, 2)


def test_isolation_of_queues_of_one_project(api: Api) -> None:
    [id] = api.say("a", 1)
    claim = api.claim("a")
    api.create("b")
    refused(api.get(f"/v2/queues/b/messages/{id}"), 404, NOT_FOUND)
    refused(api.get(f"/v2/queues/b/messages?ids={id}"), 404, NOT_FOUND)
    empty(api.delete(f"/v2/queues/b/messages/{id}"))
    empty(api.delete(f"/v2/queues/b/messages?ids={id}"))
    refused(api.get(f"/v2/queues/b/claims/{claim.id}"), 404, NOT_FOUND)
    refused(api.patch(f"/v2/queues/b/claims/{claim.id}", json={}), 404, NOT_FOUND)
    empty(api.delete(f"/v2/queues/b/claims/{claim.id}"))
    assert api.counts("a") == (0, 1, 1)
    listing = success(api.get("/v2/queues/a/messages?limit=1&echo=true&include_claimed=true"))
    marker = listing["links"][0]["href"].split("marker=")[1]
    api.say("b", 2)
    foreign = success(api.get(f"/v2/queues/b/messages?echo=true&marker={marker}"))
    assert foreign == {"messages": [], "links": []}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a.b", "c"), ("a", "b.c")),
        (("a", "b.c"), ("a.b", "c")),
        (("x/y", "z"), ("x", "y.z")),
        (("a:b", "c"), ("a", "b-c")),
        (("A", "q"), ("a", "q")),
        (("a", "Q"), ("a", "q")),
        (("a{b}", "c"), ("a", "b")),
        (("a%2F", "c"), ("a/", "c")),
        pytest.param(("ü", "c"), ("Ã¼", "c"), marks=pytest.mark.gunicorn_only),
        (("a*", "c"), ("ab", "c")),
    ],
)
def test_q50_no_project_and_queue_collide_with_others(
    api: Api, one: tuple[str, str], other: tuple[str, str]
) -> None:
    first = api.other_project(f"{api.project}-{one[0]}")
    second = api.other_project(f"{api.project}-{other[0]}")
    first.say(one[1], 1)
    assert second.counts(other[1]) == (0, 0, 0)
    second.say(other[1], 2)
    assert first.bodies(one[1]) == [1]
    assert second.bodies(other[1]) == [2]
    empty(first.delete(f"/v2/queues/{one[1]}"))
    assert second.bodies(other[1]) == [2]


def test_a_project_named_default_is_the_one_of_requests_that_name_none(api: Api) -> None:
    name = f"q-{api.client_id}"
    empty(api.put(f"/v2/queues/{name}", headers={"X-Project-ID": None}), 201)
    named = api.other_project("default")
    assert named.head(f"/v2/queues/{name}").status_code == 204
    empty(named.delete(f"/v2/queues/{name}"))
    assert api.head(f"/v2/queues/{name}", headers={"X-Project-ID": None}).status_code == 404


def test_ids_of_one_get_are_limited_whatever_they_name(api: Api) -> None:
    ids = ",".join(["x"] * 21)
    refused(api.get(f"/v2/queues/q/messages?ids={ids}"), 400, API)
