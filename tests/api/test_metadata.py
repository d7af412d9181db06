"""Metadata of queues: reserved keys, and changing it by PATCH."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.test_queues import DEFAULTS
from tests.support.http import (
    API,
    BODY,
    CONFLICT,
    PATCH_TYPE,
    Api,
    empty,
    refused,
    success,
)
from tests.support.node import Node

GOOD: list[tuple[str, Any]] = [
    ("_max_messages_post_size", 1),
    ("_max_messages_post_size", 262144),
    ("_default_message_ttl", 60),
    ("_default_message_ttl", 1209600),
    ("_default_message_delay", 1),
    ("_default_message_delay", 900),
    ("_dead_letter_queue", "graveyard"),
    ("_dead_letter_queue", "a.b"),
    ("_dead_letter_queue", "Q"),
    ("_dead_letter_queue_messages_ttl", 60),
    ("_dead_letter_queue_messages_ttl", 1209600),
    ("_max_claim_count", 1),
    ("_max_claim_count", 2**63 - 1),
    ("_enable_encrypt_messages", False),
    ("_flavor", "vanilla"),
    ("_retry_policy", {}),
    ("_unknown", -1),
    ("_ttl", "x"),
]
BAD: list[tuple[str, Any]] = [
    *[
        (key, value)
        for key in (
            "_max_messages_post_size",
            "_default_message_ttl",
            "_default_message_delay",
            "_dead_letter_queue_messages_ttl",
            "_max_claim_count",
        )
        for value in (-1, True, False, "60", "", 60.0, 60.5, [], [60], {}, 2**62)
        if (key, value) != ("_max_claim_count", 2**62)
    ],
    ("_max_messages_post_size", 0),
    ("_max_messages_post_size", 262145),
    ("_default_message_ttl", 0),
    ("_default_message_ttl", 59),
    ("_default_message_ttl", 1209601),
    ("_default_message_delay", 901),
    ("_dead_letter_queue_messages_ttl", 0),
    ("_dead_letter_queue_messages_ttl", 59),
    ("_dead_letter_queue_messages_ttl", 1209601),
    ("_dead_letter_queue", "q"),
    ("_dead_letter_queue", ""),
    ("_dead_letter_queue", "bad!name"),
    ("_dead_letter_queue", ".."),
    ("_dead_letter_queue", "a\n"),
    ("_dead_letter_queue", "ü"),
    ("_dead_letter_queue", "x" * 65),
    ("_dead_letter_queue", 5),
    ("_dead_letter_queue", False),
    ("_dead_letter_queue", []),
    ("_dead_letter_queue", ["x"]),
    ("_dead_letter_queue", {}),
    ("_enable_encrypt_messages", 0),
    ("_enable_encrypt_messages", 1),
    ("_enable_encrypt_messages", "true"),
    ("_enable_encrypt_messages", ""),
    ("_enable_encrypt_messages", []),
    ("_flavor", 5),
    ("_flavor", []),
    ("_retry_policy", "often"),
    ("_retry_policy", 5),
]  # fmt: skip
RESERVED = [*DEFAULTS, "_flavor", "_retry_policy"]


def ids(case: Any) -> str:
    return json.dumps(case)[:60]


@pytest.mark.parametrize(("key", "value"), GOOD, ids=ids)
def test_reserved_values_within_bounds(api: Api, key: str, value: Any) -> None:
    api.create("q", **{key: value})
    assert api.metadata("q") == {**DEFAULTS, key: value}
    api.create("p")
    shown = success(api.change("p", [{"op": "add", "path": f"/metadata/{key}", "value": value}]))
    assert shown == {**DEFAULTS, key: value} == api.metadata("p")


@pytest.mark.parametrize(("key", "value"), BAD, ids=ids)
def test_q20_reserved_values_out_of_bounds_or_of_a_wrong_type(
    api: Api, key: str, value: Any
) -> None:
    refused(api.put("/v2/queues/q", json={"a": 1, key: value}), 400, API, key)
    assert api.queue_names() == []
    api.create("q", a=1)
    changes = [
        {"op": "replace", "path": "/metadata/a", "value": 2},
        {"op": "add", "path": f"/metadata/{key}", "value": value},
    ]
    refused(api.change("q", changes), 400, BODY, key)
    assert api.metadata("q") == {"a": 1, **DEFAULTS}


@pytest.mark.parametrize("key", RESERVED)
def test_null_means_not_set(api: Api, key: str) -> None:
    api.create("q", **{key: None})
    shown = api.metadata("q")
    assert shown.get(key) == DEFAULTS.get(key)
    assert shown.items() >= DEFAULTS.items()


@pytest.mark.parametrize(
    ("key", "value"),
    [("_default_message_delay", 0), ("_max_claim_count", 0), ("_enable_encrypt_messages", False)],
)
def test_what_is_falsy_is_shown_as_the_default(api: Api, key: str, value: Any) -> None:
    api.create("q", **{key: value})
    assert api.metadata("q") == DEFAULTS


def test_q18_a_claim_count_of_zero_is_unset(api: Api) -> None:
    api.create("q", _max_claim_count=0, _dead_letter_queue="graves")
    assert api.metadata("q")["_max_claim_count"] is None
    api.say("q", 1)
    for _ in range(3):
        claim = api.claim("q")
        assert claim.bodies == [1]
        empty(api.delete(claim.location))


def test_bounds_and_defaults_are_settings(node_with: Callable[..., Node]) -> None:
    api = node_with(
        max_messages_post_size=1000,
        default_message_ttl=100,
        max_message_ttl=200,
        default_message_delay=3,
        max_message_delay=5,
        max_queue_metadata=300,
    ).api()
    assert api.metadata("q") == {
        **DEFAULTS,
        "_max_messages_post_size": 1000,
        "_default_message_ttl": 100,
        "_default_message_delay": 3,
    }
    refused(api.put("/v2/queues/q", json={"_max_messages_post_size": 1001}), 400, API, "1000")
    refused(api.put("/v2/queues/q", json={"_default_message_ttl": 201}), 400, API, "200")
    refused(api.put("/v2/queues/q", json={"_dead_letter_queue_messages_ttl": 201}), 400, API)
    refused(api.put("/v2/queues/q", json={"_default_message_delay": 6}), 400, API, "5")
    refused(api.put("/v2/queues/q", json={"k": "x" * 300}), 400, API, "300")


def test_encryption_needs_a_key(api: Api) -> None:
    refused(api.put("/v2/queues/q", json={"_enable_encrypt_messages": True}), 400, API)
    api.create("q")
    change = {"op": "add", "path": "/metadata/_enable_encrypt_messages", "value": True}
    assert api.change("q", [change]).status_code == 400
    assert api.metadata("q") == DEFAULTS


# PATCH


@pytest.fixture
def q(api: Api) -> Api:
    api.create("q", owner="me", colour="red", _default_message_ttl=100)
    return api


BEFORE = {**DEFAULTS, "owner": "me", "colour": "red", "_default_message_ttl": 100}


def add(key: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": f"/metadata/{key}", "value": value}


def replace(key: str, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": f"/metadata/{key}", "value": value}


def remove(key: str) -> dict[str, Any]:
    return {"op": "remove", "path": f"/metadata/{key}"}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in BEFORE.items() if name != key}


@pytest.mark.parametrize(
    ("changes", "after"),
    [
        ([], BEFORE),
        ([add("new", 1)], {**BEFORE, "new": 1}),
        ([add("owner", "you")], {**BEFORE, "owner": "you"}),
        ([add("owner", None)], {**BEFORE, "owner": None}),
        ([replace("owner", {"a": [1]})], {**BEFORE, "owner": {"a": [1]}}),
        ([replace("_default_message_ttl", 600)], {**BEFORE, "_default_message_ttl": 600}),
        ([replace("_max_claim_count", 5)], {**BEFORE, "_max_claim_count": 5}),
        ([replace("_dead_letter_queue", "dead")], {**BEFORE, "_dead_letter_queue": "dead"}),
        ([replace("_default_message_delay", 0)], BEFORE),
        ([remove("colour")], without("colour")),
        ([{**remove("colour"), "value": "ignored"}], without("colour")),
        ([remove("_default_message_ttl")], {**BEFORE, "_default_message_ttl": 3600}),
        *[([remove(key)], BEFORE) for key in DEFAULTS if key != "_default_message_ttl"],
        ([add("x", 1), replace("x", 2), remove("x")], BEFORE),
        ([add("x", 1), replace("x", 2)], {**BEFORE, "x": 2}),
        ([remove("owner"), add("owner", "you")], {**BEFORE, "owner": "you"}),
        ([add("_max_claim_count", 7), remove("_max_claim_count")], BEFORE),
        ([add("_default_message_ttl", 1), add("_default_message_ttl", 60)],
         {**BEFORE, "_default_message_ttl": 60}),
        ([add("_max_claim_count", "x"), remove("_max_claim_count")], BEFORE),
        ([add("a~1b", 1)], {**BEFORE, "a/b": 1}),
        ([add("a~0b", 1)], {**BEFORE, "a~b": 1}),
        ([add("~01", 1)], {**BEFORE, "~1": 1}),
        ([add("~10", 1)], {**BEFORE, "/0": 1}),
        ([{"op": "add", "path": "/Metadata/x", "value": 1}], {**BEFORE, "x": 1}),
        ([{"op": "remove", "path": "/METADATA/colour"}], without("colour")),
        ([add("größe", "ß")], {**BEFORE, "größe": "ß"}),
        ([add(" ", 1)], {**BEFORE, " ": 1}),
        ([add("-", 1)], {**BEFORE, "-": 1}),
        ([add("0", 1)], {**BEFORE, "0": 1}),
        ([{**add("x", 1), "from": 5, "unknown": []}], {**BEFORE, "x": 1}),
        ([add("_unknown", 1)], {**BEFORE, "_unknown": 1}),
    ],
    ids=ids,
)  # fmt: skip
def test_changes_apply_in_order(q: Api, changes: list[Any], after: dict[str, Any]) -> None:
    assert success(q.change("q", changes)) == after
    assert q.metadata("q") == after


@pytest.mark.parametrize(
    "changes",
    [
        [replace("absent", 1)],
        [remove("absent")],
        [replace("_unknown", 1)],
        [remove("_flavor")],
        [replace("_flavor", "x")],
        [remove("_retry_policy")],
        [remove("colour"), remove("colour")],
        [remove("colour"), replace("colour", 1)],
        [remove("Colour")],
        [add("x", 1), remove("absent")],
    ],
    ids=ids,
)
def test_a_change_of_an_absent_key_is_a_conflict_and_changes_nothing(
    q: Api, changes: list[Any]
) -> None:
    refused(q.change("q", changes), 409, CONFLICT)
    assert q.metadata("q") == BEFORE


MALFORMED: list[Any] = [
    {},
    {"op": "add", "path": "/metadata/x", "value": 1},
    "add",
    5,
    None,
    True,
    [[]],
    [5],
    ["add"],
    [None],
    [{}],
    [{"path": "/metadata/x", "value": 1}],
    [{"op": "add", "value": 1}],
    [{"op": "add", "path": "/metadata/x"}],
    [{"op": "replace", "path": "/metadata/owner"}],
    *[
        [{"op": op, "path": "/metadata/owner", "value": 1}]
        for op in ("test", "move", "copy", "ADD", "Add", "", " add", "delete", None, 5, [], ["add"], {})
    ],
    *[
        [{"op": op, "path": path, "value": 1}]
        for op in ("add", "remove")
        for path in (
            "",
            "/",
            "metadata/owner",
            "/metadata",
            "/metadata/",
            "//owner",
            "/metadata//owner",
            "/metadata/owner/",
            "/metadata/owner/x",
            "//metadata/owner",
            "/owner",
            "/meta/owner",
            "/metadatas/owner",
            "/metadata /owner",
            "/foo/owner",
            "/metadata/a~",
            "/metadata/a~2",
            "/metadata/~a",
            "/metadata/~~1",
            "/meta~0data/owner",
            5,
            None,
            [],
            ["metadata", "owner"],
            {},
            True,
        )
    ],
    [add("x", 1), {"op": "add", "path": "/metadata/y"}],
]  # fmt: skip


@pytest.mark.parametrize("changes", MALFORMED, ids=ids)
def test_q19_a_malformed_change_is_refused_and_changes_nothing(q: Api, changes: Any) -> None:
    refused(q.change("q", changes), 400, BODY)
    assert q.metadata("q") == BEFORE


@pytest.mark.parametrize("body", [None, b"", b" "])
def test_a_patch_needs_a_body(q: Api, body: bytes | None) -> None:
    headers = {"Content-Type": PATCH_TYPE}
    refused(q.patch("/v2/queues/q", body=body, headers=headers), 400, BODY)


def test_q27_metadata_cannot_grow_without_bound(q: Api) -> None:
    half = "x" * 30_000
    success(q.change("q", [add("a", half)]))
    success(q.change("q", [add("b", half)]))
    assert q.change("q", [add("c", half)]).status_code == 400
    assert "c" not in q.metadata("q")
    success(q.change("q", [remove("a"), add("c", half)]))


def test_a_patch_has_a_largest_size(q: Api) -> None:
    huge = json.dumps([add("a", "x" * 70_000), remove("a")])
    headers = {"Content-Type": PATCH_TYPE}
    assert q.patch("/v2/queues/q", body=huge, headers=headers).status_code == 400
    padded = b"[]" + b" " * 65535
    assert q.patch("/v2/queues/q", body=padded, headers=headers).status_code == 400
    success(q.patch("/v2/queues/q", body=padded[:-1], headers=headers))
    assert q.metadata("q") == BEFORE


def test_q73_setting_and_unsetting_a_key_leaves_it_unset(q: Api) -> None:
    for key in ("_max_claim_count", "_dead_letter_queue"):
        value: Any = 3 if key == "_max_claim_count" else "graves"
        assert success(q.change("q", [add(key, value), remove(key)]))[key] is None


def test_a_patch_keeps_the_digits_of_numbers_it_does_not_touch(api: Api) -> None:
    empty(api.put("/v2/queues/q", body='{"a": 0.10000000000000000001, "b": 1.50}'), 201)
    api.patch(
        "/v2/queues/q",
        body='[{"op": "add", "path": "/metadata/c", "value": 2.50}]',
        headers={"Content-Type": PATCH_TYPE},
    )
    shown = api.get("/v2/queues/q").text.replace(" ", "")
    for member in ('"a":0.10000000000000000001', '"b":1.50', '"c":2.50'):
        assert member in shown


def test_settings_take_effect_at_once(q: Api) -> None:
    q.say("q", 1)
    success(q.change("q", [replace("_default_message_ttl", 200)]))
    q.say("q", 2)
    success(q.change("q", [remove("_default_message_ttl")]))
    q.say("q", 3)
    assert [message["ttl"] for message in q.listed("q")] == [100, 200, 3600]
