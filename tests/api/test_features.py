"""Delay, dead letters, encryption, checksums."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from queueing.config import Settings
from queueing.core.clock import ManualClock
from queueing.storage.registry import open_storage
from tests.support.http import NOT_FOUND, Api, Claimed, empty, refused, success
from tests.support.node import Node

# Delay


def test_q15_a_delay_hides_a_message_on_any_queue(timed: Api, clock: ManualClock) -> None:
    [id] = timed.say("q", "later", delay=30)
    timed.say("q", "now")
    assert timed.bodies("q") == ["now"]
    assert timed.bodies("q", "echo=true&include_delayed=true") == ["later", "now"]
    assert timed.counts("q") == (2, 0, 2)
    assert success(timed.get(f"/v2/queues/q/messages/{id}"))["body"] == "later"
    clock.advance(29)
    assert timed.claim("q", limit=20, ttl=60).bodies == ["now"]
    assert timed.pop("q", 20) == []
    clock.advance(1)
    assert timed.bodies("q") == ["later"]
    assert timed.claim("q", limit=20, ttl=60).bodies == ["later"]


def test_q16_delayed_messages_are_listed_only_if_asked(timed: Api, clock: ManualClock) -> None:
    timed.say("q", "later", delay=30)
    listing = success(timed.get("/v2/queues/q/messages?echo=true"))
    assert listing == {"messages": [], "links": []}
    listing = success(timed.get("/v2/queues/q/messages?echo=true&include_delayed=true"))
    assert "include_delayed=true" in listing["links"][0]["href"]
    clock.advance(30)
    listing = success(timed.get("/v2/queues/q/messages?echo=true"))
    assert len(listing["messages"]) == 1
    assert "include_delayed" not in listing["links"][0]["href"]


def test_a_delayed_message_keeps_its_place(timed: Api, clock: ManualClock) -> None:
    timed.say("q", "first", delay=30)
    timed.say("q", "second")
    clock.advance(30)
    assert timed.bodies("q") == ["first", "second"]
    assert [message["body"] for message in timed.pop("q", 2)] == ["first", "second"]


def test_the_lifetime_counts_from_the_post(timed: Api, clock: ManualClock) -> None:
    timed.say("q", "never seen", delay=100, ttl=60)
    timed.say("q", "seen", delay=100, ttl=101)
    clock.advance(60)
    assert timed.counts("q") == (1, 0, 1)
    clock.advance(40)
    assert timed.bodies("q") == ["seen"]
    clock.advance(1)
    assert timed.counts("q") == (0, 0, 0)


def test_a_delayed_message_can_be_deleted(api: Api) -> None:
    one, two = api.say("q", 1, 2, delay=900)
    empty(api.delete(f"/v2/queues/q/messages/{one}"))
    empty(api.delete(f"/v2/queues/q/messages?ids={two}"))
    assert api.counts("q") == (0, 0, 0)


def test_a_queue_has_a_delay_of_its_own(timed: Api, clock: ManualClock) -> None:
    timed.create("q", _default_message_delay=50)
    timed.say("q", "by default")
    timed.say("q", "by wish", delay=20)
    timed.say("q", "at once", delay=0)
    assert timed.bodies("q") == ["at once"]
    clock.advance(20)
    assert timed.bodies("q") == ["by wish", "at once"]
    clock.advance(30)
    assert timed.bodies("q") == ["by default", "by wish", "at once"]


def test_the_service_has_a_delay_of_its_own(node_with: Callable[..., Node]) -> None:
    node = node_with(default_message_delay=10)
    api = node.api()
    assert api.metadata("q")["_default_message_delay"] == 10
    api.say("q", 1)
    assert api.bodies("q") == []
    node.clock.advance(10)
    assert api.bodies("q") == [1]


# Dead letters


def claim_and_release(api: Api, queue: str) -> Claimed:
    claim = api.claim(queue, ttl=60)
    if claim:
        empty(api.delete(claim.location))
    return claim


def test_claim_count_example(api: Api) -> None:
    """Section 18: with a claim count of 2, the third claim moves the message and answers 204."""
    api.create("q", _max_claim_count=2, _dead_letter_queue="graves")
    [id] = api.say("q", "poison")
    assert claim_and_release(api, "q").bodies == ["poison"]
    assert claim_and_release(api, "q").bodies == ["poison"]
    assert "graves" not in api.queue_names()
    answer = empty(api.post("/v2/queues/q/claims"))
    assert "Location" not in answer.headers
    assert api.counts("q") == (0, 0, 0)
    refused(api.get(f"/v2/queues/q/messages/{id}"), 404, NOT_FOUND)
    assert api.queue_names() == ["graves", "q"]
    [letter] = api.listed("graves")
    assert (letter["id"], letter["body"]) == (id, "poison")
    assert letter["href"] == f"/v2/queues/graves/messages/{id}"


def test_q17_a_dead_letter_is_free_in_its_queue(timed: Api, clock: ManualClock) -> None:
    timed.create("q", _max_claim_count=1, _dead_letter_queue="graves")
    [id] = timed.say("q", "poison", ttl=1000)
    clock.advance(100)
    timed.claim("q", ttl=60)
    clock.advance(60)
    assert not timed.claim("q")
    [letter] = timed.listed("graves")
    assert letter == {
        "id": id,
        "href": f"/v2/queues/graves/messages/{id}",
        "ttl": 1000,
        "age": 160,
        "body": "poison",
    }
    assert timed.counts("graves") == (1, 0, 1)
    clock.advance(839)
    assert timed.counts("graves") == (1, 0, 1)
    clock.advance(1)
    assert timed.counts("graves") == (0, 0, 0)


def test_q17_a_dead_letter_has_the_lifetime_of_the_rule(timed: Api, clock: ManualClock) -> None:
    timed.create(
        "q", _max_claim_count=1, _dead_letter_queue="graves", _dead_letter_queue_messages_ttl=500
    )
    timed.say("q", "poison", ttl=100)
    claim_and_release(timed, "q")
    clock.advance(50)
    assert not timed.claim("q")
    [letter] = timed.listed("graves")
    assert (letter["ttl"], letter["age"]) == (500, 50)
    clock.advance(499)
    assert timed.listed("graves")[0]["age"] == 549
    clock.advance(1)
    assert timed.listed("graves") == []


def test_a_dead_letter_keeps_its_client_and_its_claim_count(api: Api) -> None:
    api.create("q", _max_claim_count=2, _dead_letter_queue="graves")
    api.say("q", "poison")
    for _ in range(3):
        claim_and_release(api, "q")
    assert api.bodies("graves", "") == []
    assert api.other_client().bodies("graves", "") == ["poison"]
    assert api.pop("graves", 1)[0]["claim_count"] == 2


def test_a_claim_count_grows_only_with_claims(timed: Api, clock: ManualClock) -> None:
    timed.create("q", _max_claim_count=3, _dead_letter_queue="graves")
    timed.say("q", 1)
    claim = timed.claim("q", ttl=60)
    empty(timed.patch(claim.location, json={"ttl": 60}))
    empty(timed.delete(claim.location))
    timed.claim("q", ttl=60)
    clock.advance(60)
    [popped] = timed.pop("q", 1)
    assert popped["claim_count"] == 2


def test_a_claim_without_a_rule_does_not_count(api: Api) -> None:
    api.say("q", 1)
    claim_and_release(api, "q")
    assert api.pop("q", 1)[0]["claim_count"] == 0


@pytest.mark.parametrize(
    "metadata",
    [
        {"_max_claim_count": 1},
        {"_dead_letter_queue": "graves"},
        {"_max_claim_count": 0, "_dead_letter_queue": "graves"},
        {"_max_claim_count": None, "_dead_letter_queue": "graves"},
        {"_max_claim_count": 1, "_dead_letter_queue": None},
    ],
)
def test_either_key_alone_does_nothing(api: Api, metadata: dict[str, Any]) -> None:
    api.create("q", **metadata)
    api.say("q", 1)
    for _ in range(4):
        assert claim_and_release(api, "q").bodies == [1]
    assert api.queue_names() == ["q"]


def test_a_claim_returns_those_that_were_not_moved(api: Api) -> None:
    api.create("q", _max_claim_count=1, _dead_letter_queue="graves")
    api.say("q", "old 1", "old 2")
    claim_and_release(api, "q")
    api.say("q", "new 1", "new 2")
    claim = api.claim("q", limit=20)
    assert claim.bodies == ["new 1", "new 2"]
    assert api.bodies("graves") == ["old 1", "old 2"]
    assert api.counts("q") == (0, 2, 2)


def test_dead_letters_go_behind_what_lies_there_already(api: Api) -> None:
    api.create("q", _max_claim_count=1, _dead_letter_queue="graves")
    api.say("graves", "was there")
    marker = success(api.get("/v2/queues/graves/messages?echo=true"))["links"][0]["href"]
    api.say("q", "poison")
    claim_and_release(api, "q")
    claim_and_release(api, "q")
    assert api.bodies("graves") == ["was there", "poison"]
    assert [m["body"] for m in success(api.get(marker))["messages"]] == ["poison"]


def test_dead_letter_queues_have_their_own_settings(api: Api) -> None:
    api.create("graves", _max_claim_count=1, _dead_letter_queue="crypt", _default_message_ttl=60)
    api.create("q", _max_claim_count=1, _dead_letter_queue="graves")
    api.say("q", "poison", ttl=1000)
    for queue in ("q", "q"):
        claim_and_release(api, queue)
    assert api.listed("graves")[0]["ttl"] == 1000
    # It arrives with a claim count of one, which is what its new queue allows.
    assert not api.claim("graves")
    assert api.bodies("crypt") == ["poison"]


def test_many_dead_letters_at_once(api: Api) -> None:
    api.create("q", _max_claim_count=1, _dead_letter_queue="graves")
    bodies = list(range(250))
    api.say("q", *bodies)
    claims = []
    while claim := api.claim("q", limit=20):
        claims.append(claim)
    for claim in claims:
        empty(api.delete(claim.location))
    for _ in range(250):
        if api.counts("graves")[2] == 250:
            break
        assert not api.claim("q")
    assert api.counts("q") == (0, 0, 0)
    pages = api.pages("/v2/queues/graves/messages?limit=20&echo=true", "messages")
    assert [message["body"] for page in pages for message in page] == bodies


# Encryption

SECRET = "the launch code is 0000"


@pytest.fixture
def sealed(node_with: Callable[..., Node]) -> Api:
    api = node_with(message_encryption_key="correct horse battery staple").api()
    api.create("q", _enable_encrypt_messages=True)
    return api


@pytest.mark.parametrize("body", [SECRET, None, 1, 1.5, True, [], {"a": [1, {"ü": "日"}]}, ""])
def test_q14_bodies_are_plain_in_every_answer(sealed: Api, body: Any) -> None:
    assert sealed.metadata("q")["_enable_encrypt_messages"] is True
    [id] = sealed.say("q", body)
    assert sealed.bodies("q") == [body]
    assert success(sealed.get(f"/v2/queues/q/messages/{id}"))["body"] == body
    assert success(sealed.get(f"/v2/queues/q/messages?ids={id}"))["messages"][0]["body"] == body
    claim = sealed.claim("q")
    assert claim.bodies == [body]
    assert success(sealed.get(claim.location))["messages"][0]["body"] == body
    assert sealed.bodies("q", "echo=true&include_claimed=true") == [body]
    empty(sealed.delete(claim.location))
    assert sealed.pop("q", 1)[0]["body"] == body


def test_encrypted_bodies_keep_their_digits(sealed: Api) -> None:
    post = '{"messages":[{"body":[0.10000000000000000001,1.50,"\\u0041"]}]}'
    success(sealed.post("/v2/queues/q/messages", body=post), 201)
    text = sealed.get("/v2/queues/q/messages?echo=true").text.replace(" ", "")
    assert '[0.10000000000000000001,1.50,"\\u0041"]' in text


def test_switching_encryption_leaves_older_messages_readable(sealed: Api) -> None:
    path = "/metadata/_enable_encrypt_messages"
    sealed.say("q", "sealed")
    success(sealed.change("q", [{"op": "replace", "path": path, "value": False}]))
    sealed.say("q", "plain")
    success(sealed.change("q", [{"op": "replace", "path": path, "value": True}]))
    sealed.say("q", "sealed again")
    assert sealed.bodies("q") == ["sealed", "plain", "sealed again"]
    assert sealed.claim("q").bodies == ["sealed", "plain", "sealed again"]


def test_dead_letters_of_an_encrypted_queue_are_readable(sealed: Api) -> None:
    sealed.create(
        "s", _enable_encrypt_messages=True, _max_claim_count=1, _dead_letter_queue="graves"
    )
    sealed.say("s", SECRET)
    claim_and_release(sealed, "s")
    claim_and_release(sealed, "s")
    assert sealed.bodies("graves") == [SECRET]


def test_size_limits_are_of_the_plain_request(sealed: Api) -> None:
    frame = b'{"messages":[{"body":"%s"}]}'
    post = frame % (b"x" * (262144 - len(frame) + 2))
    success(sealed.post("/v2/queues/q/messages", body=post), 201)
    assert len(sealed.bodies("q")[0]) == 262144 - len(frame) + 2


def test_encrypted_bodies_are_not_found_in_the_file(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/queueing.db", timeout_seconds=30)
    with Node(Settings(message_encryption_key="k"), storage) as node:
        api = node.api()
        api.create("open")
        api.create("sealed", _enable_encrypt_messages=True)
        api.say("open", "in plain sight")
        api.say("sealed", SECRET)
        assert api.claim("sealed").bodies == [SECRET]
        stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"in plain sight" in stored
    assert SECRET.encode() not in stored


# Checksums


@pytest.fixture
def checked(node_with: Callable[..., Node]) -> Api:
    return node_with(enable_checksum=True, message_encryption_key="k").api()


CHECKSUMS = [
    ("1", "MD5:c4ca4238a0b923820dcc509a6f75849b"),
    ('{"a":1,"é":[1,2.5,null]}', "MD5:b6813367dc82989fb0fa9713af660d3a"),
    ('{"a" : 1, "\\u00e9":[ 1,2.5,null ]}', "MD5:b6813367dc82989fb0fa9713af660d3a"),
]


@pytest.mark.parametrize(("body", "checksum"), CHECKSUMS)
@pytest.mark.parametrize("encrypt", [False, True])
def test_checksums_in_every_answer(checked: Api, body: str, checksum: str, encrypt: bool) -> None:
    checked.create("q", _enable_encrypt_messages=encrypt)
    success(checked.post("/v2/queues/q/messages", body=f'{{"messages":[{{"body":{body}}}]}}'), 201)
    [message] = checked.listed("q")
    assert message.keys() == {"id", "href", "ttl", "age", "body", "checksum"}
    claim = checked.claim("q")
    found = [
        message,
        success(checked.get(f"/v2/queues/q/messages/{message['id']}")),
        success(checked.get(f"/v2/queues/q/messages?ids={message['id']}"))["messages"][0],
        claim.messages[0],
        success(checked.get(claim.location))["messages"][0],
    ]
    empty(checked.delete(claim.location))
    found += checked.pop("q", 1)
    assert [shown["checksum"] for shown in found] == [checksum] * 6


def test_messages_from_before_have_no_checksum(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/queueing.db"
    with Node(Settings(), open_storage(uri, timeout_seconds=30)) as node:
        api = node.api()
        api.say("q", 1)
    checking = Settings(enable_checksum=True)
    with Node(checking, open_storage(uri, timeout_seconds=30)) as node:
        api = node.api(project=api.project)
        api.say("q", 1)
        assert ["checksum" in message for message in api.listed("q")] == [False, True]


def test_no_checksum_unless_the_option_is_on(api: Api) -> None:
    api.say("q", 1)
    assert "checksum" not in api.listed("q")[0]
