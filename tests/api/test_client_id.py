"""Client-ID: what it may be, and the one thing that depends on it, echo."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.http import Api, Wire, empty, refused, request_bytes, success
from tests.support.node import Node

PLAIN = "0f2a6c6e-1d9b-4a0e-9c57-3b8f0a2d4e61"
SPELLINGS = {
    "upper_case": PLAIN.upper(),
    "without_hyphens": PLAIN.replace("-", ""),
    "braces": "{" + PLAIN + "}",
    "urn": f"urn:uuid:{PLAIN}",
    "odd_hyphens": "0f2a-6c6e1d9b4a0e9c573b8f0a2d4e61",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_q55_spellings_of_one_uuid_are_one_client(api: Api, spelling: str) -> None:
    api.other_client(PLAIN).say("q", 1)
    same = api.other_client(SPELLINGS[spelling])
    assert same.bodies("q", "echo=false") == []
    same.say("q", 2)
    assert api.other_client(PLAIN).bodies("q", "") == []
    assert api.bodies("q", "") == [1, 2]


@pytest.mark.parametrize(
    "uuid",
    [
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    ],
)
def test_any_version_of_uuid_will_do(strict: Api, uuid: str) -> None:
    strict.other_client(uuid).say("q", 1)
    assert strict.other_client(uuid).bodies("q", "") == []


BAD = [
    "",
    "x",
    PLAIN[:-1],
    PLAIN + "0",
    PLAIN.replace("0", "g"),
    "ü" * 32,
    "12345678901",
    f"{PLAIN},{PLAIN}",
    f"{PLAIN} {PLAIN}",
    "٣" * 32,
    "0x" + "1" * 30,
    "1_1" + "1" * 29,
    "+" + "1" * 31,
]


@pytest.mark.parametrize("bad", BAD)
def test_malformed_client_ids_are_refused_in_both_modes(api: Api, strict: Api, bad: str) -> None:
    for node in (api, strict):
        headers = {"Client-ID": bad.encode()}
        refused(node.get("/v2/queues", headers=headers), 400, "Wrong UUID value")
        answer = node.post(
            "/v2/queues/q/messages", json={"messages": [{"body": 1}]}, headers=headers
        )
        refused(answer, 400, "Wrong UUID value")
        assert node.queue_names() == []


@pytest.mark.parametrize("path", ["/v2/", "/v2/ping", "/v2/queues", "/v2/queues/q/messages"])
def test_missing_client_id_in_strict_mode(strict: Api, path: str) -> None:
    refused(strict.get(path, headers={"Client-ID": None}), 400, "Missing header value")


def test_listings_hide_the_callers_own_messages_unless_asked(api: Api) -> None:
    other = api.other_client()
    api.say("q", "mine")
    other.say("q", "theirs")
    assert api.bodies("q", "") == ["theirs"]
    assert api.bodies("q", "echo=false") == ["theirs"]
    assert api.bodies("q", "echo=true") == ["mine", "theirs"]
    assert other.bodies("q", "") == ["mine"]


def test_nothing_else_depends_on_the_client(api: Api) -> None:
    one, two, three, four = api.say("q", 1, 2, 3, 4)
    success(api.get(f"/v2/queues/q/messages/{one}"))
    assert len(success(api.get(f"/v2/queues/q/messages?ids={one},{two}"))["messages"]) == 2
    claim = api.claim("q", limit=1)
    assert claim.message_ids == [one]
    other = api.other_client()
    assert success(other.get(claim.location))["messages"][0]["id"] == one
    empty(other.patch(claim.location, json={"ttl": 100}))
    empty(other.delete(f"/v2/queues/q/messages/{one}?claim_id={claim.id}"))
    empty(other.delete(claim.location))
    empty(other.delete(f"/v2/queues/q/messages/{two}"))
    assert [message["id"] for message in other.pop("q", 1)] == [three]
    assert [message["id"] for message in api.pop("q", 1)] == [four]


LITERAL = ["ten-chars-", "worker no. 1/of 2", "x" * 36, "1234567890", PLAIN, "a=b&c=d,e;f"]


@pytest.fixture
def off(node_with: Callable[..., Node]) -> Api:
    return node_with(client_id_uuid_safe="off").api()


@pytest.mark.parametrize("client_id", LITERAL)
def test_q54_without_uuids_any_string_works_for_everything(off: Api, client_id: str) -> None:
    client = off.other_client(client_id)
    client.create("p")
    one, two = client.say("q", 1, 2)
    assert client.bodies("q", "") == []
    assert client.bodies("q", "echo=true") == [1, 2]
    assert off.bodies("q", "") == [1, 2]
    claim = client.claim("q", limit=1)
    success(client.get(claim.location))
    empty(client.patch(claim.location, json={}))
    empty(client.delete(f"/v2/queues/q/messages/{one}?claim_id={claim.id}"))
    empty(client.delete(claim.location))
    success(client.get(f"/v2/queues/q/messages/{two}"))
    assert len(client.pop("q", 2)) == 1


def test_without_uuids_ids_are_compared_literally(off: Api) -> None:
    off.other_client(PLAIN).say("q", 1)
    assert off.other_client(PLAIN).bodies("q", "") == []
    assert off.other_client(PLAIN.upper()).bodies("q", "") == [1]
    assert off.other_client(PLAIN.replace("-", "")).bodies("q", "") == [1]


@pytest.mark.parametrize("client_id", ["", "x" * 9, "x" * 37])
def test_without_uuids_the_length_counts(off: Api, client_id: str) -> None:
    answer = off.get("/v2/queues", headers={"Client-ID": client_id})
    refused(answer, 400, "Wrong UUID value")


def test_without_uuids_bytes_beyond_ascii_are_fine(off: Api) -> None:
    headers = [("Client-ID", b"\xff\xfe\x80 arbeiter"), ("X-Project-ID", off.project)]
    with Wire(off.url) as wire:
        body = b'{"messages":[{"body":1}]}'
        answer = wire.ask(request_bytes("POST", "/v2/queues/q/messages", headers, body))
    assert answer is not None
    assert answer.status == 201
    assert off.bodies("q", "") == [1]


@pytest.mark.parametrize(("shortest", "longest", "good", "bad"), [(3, 5, "abc", "abcdef")])
def test_the_two_lengths_are_settings(
    node_with: Callable[..., Node], shortest: int, longest: int, good: str, bad: str
) -> None:
    node = node_with(
        client_id_uuid_safe="off", min_length_client_id=shortest, max_length_client_id=longest
    )
    success(node.api().get("/v2/queues", headers={"Client-ID": good}))
    refused(node.api().get("/v2/queues", headers={"Client-ID": bad}), 400, "Wrong UUID value")
