"""Idempotency-Key: a post that is repeated is done once (E3)."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx
import pytest

from queueing.core.clock import ManualClock
from tests.support.http import API, BODY, Api, Wire, empty, refused, request_bytes, success

DAY = 86_400
POST = b'{"messages": [{"body": 1}, {"body": 2}]}'


def post(api: Api, key: str | bytes, body: bytes = POST, queue: str = "q") -> httpx.Response:
    headers = {"Idempotency-Key": key}
    return api.post(f"/v2/queues/{queue}/messages", body=body, headers=headers)


def replayed(response: httpx.Response) -> bool:
    value = response.headers.get("Idempotency-Replayed")
    assert value in (None, "true")
    return value == "true"


def test_a_repeat_gets_the_first_answer_and_posts_nothing(api: Api) -> None:
    first, second, third = (post(api, "k") for _ in range(3))
    assert success(first, 201) == success(second, 201) == success(third, 201)
    assert first.headers["Location"] == second.headers["Location"]
    assert [replayed(answer) for answer in (first, second, third)] == [False, True, True]
    assert api.bodies("q") == [1, 2]


def test_keys_differ_by_each_character(api: Api) -> None:
    keys = ["k", "K", "k1", "!", "~", '"', "k" * 255, "k" * 254, "a,b", "a;b", "%41", "A"]
    for key in keys:
        assert not replayed(post(api, key))
        assert replayed(post(api, key))
    assert api.counts("q")[2] == 2 * len(keys)


def test_another_body_under_the_same_key_is_refused(api: Api) -> None:
    first = success(post(api, "k"), 201)
    for body in (b'{"messages": [{"body": 1}]}', POST + b" ", POST.replace(b" ", b"")):
        refused(post(api, "k", body), 422, "Idempotency key reused")
    assert api.counts("q")[2] == 2
    assert success(post(api, "k"), 201) == first


def test_keys_belong_to_a_project_and_a_queue(api: Api) -> None:
    other = api.other_project()
    assert not replayed(post(api, "k"))
    assert not replayed(post(api, "k", queue="p"))
    assert not replayed(post(other, "k"))
    assert not replayed(post(api, "k", b'{"messages": [{"body": 3}]}', queue="Q"))
    assert (api.bodies("q"), api.bodies("p"), api.bodies("Q")) == ([1, 2], [1, 2], [3])
    assert other.bodies("q") == [1, 2]


def test_keys_do_not_belong_to_a_client(api: Api) -> None:
    first = success(post(api, "k"), 201)
    again = post(api.other_client(), "k")
    assert success(again, 201) == first
    assert replayed(again)


@pytest.mark.parametrize("how", ["delete", "claimed", "pop", "purge", "queue"])
def test_a_repeat_gets_its_answer_even_if_the_messages_are_gone(api: Api, how: str) -> None:
    first = success(post(api, "k"), 201)
    ids = [href.rsplit("/", 1)[1] for href in first["resources"]]
    if how == "delete":
        empty(api.delete(f"/v2/queues/q/messages?ids={','.join(ids)}"))
    elif how == "claimed":
        for message in api.claim("q").messages:
            empty(api.delete(message["href"]))
    elif how == "pop":
        assert len(api.pop("q", 20)) == 2
    elif how == "purge":
        empty(api.post("/v2/queues/q/purge"))
    else:
        empty(api.delete("/v2/queues/q"))
    again = post(api, "k")
    assert success(again, 201) == first
    assert replayed(again)
    assert api.counts("q") == (0, 0, 0)
    assert ("q" in api.queue_names()) == (how != "queue")


def test_a_repeat_gets_its_answer_when_the_messages_expired(timed: Api, clock: ManualClock) -> None:
    first = success(post(timed, "k", b'{"messages": [{"body": 1, "ttl": 60}]}'), 201)
    clock.advance(DAY - 1)
    again = post(timed, "k", b'{"messages": [{"body": 1, "ttl": 60}]}')
    assert success(again, 201) == first
    assert replayed(again)
    assert timed.counts("q") == (0, 0, 0)


def test_a_key_is_forgotten_after_a_day_from_its_first_use(timed: Api, clock: ManualClock) -> None:
    post(timed, "k")
    clock.advance(DAY - 1)
    assert replayed(post(timed, "k"))
    clock.advance(1)
    again = post(timed, "k", b'{"messages": [{"body": "new"}]}')
    assert again.status_code == 201
    assert not replayed(again)
    assert timed.bodies("q") == ["new"]


def test_a_refused_post_leaves_its_key_unused(api: Api) -> None:
    refused(post(api, "k", b'{"messages": [{"body": 1, "ttl": 1}]}'), 400, API)
    refused(post(api, "k", b"{"), 400, BODY)
    answer = post(api, "k")
    assert answer.status_code == 201
    assert not replayed(answer)


def test_a_repeat_is_answered_whatever_the_settings_are_now(api: Api) -> None:
    first = success(post(api, "k"), 201)
    for key, value in (("_default_message_ttl", 77), ("_max_messages_post_size", 1)):
        change = {"op": "add", "path": f"/metadata/{key}", "value": value}
        success(api.change("q", [change]))
    again = post(api, "k")
    assert success(again, 201) == first
    assert replayed(again)
    refused(post(api, "new"), 400, API)
    refused(post(api, "k", POST + b" "), 422, "Idempotency key reused")


@pytest.mark.parametrize("key", [b"", b"k" * 256, b"a b", b"\xc3\xbc", b"\xff", b"a\tb"])
def test_a_key_is_visible_ascii(api: Api, key: bytes) -> None:
    with Wire(api.url) as wire:
        headers = [*api.headers.items(), ("Idempotency-Key", key)]
        answer = wire.ask(request_bytes("POST", "/v2/queues/q/messages", headers, POST), "POST")
    assert answer is not None
    assert answer.status == 400
    assert "Idempotency-Key" in answer.json()["description"]
    assert api.queue_names() == []


def test_two_at_once_are_one(api: Api) -> None:
    answers: list[httpx.Response] = []
    start = threading.Barrier(6)

    def work(number: int) -> None:
        start.wait()
        answers.append(post(api, f"k{number % 2}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    documents: list[Any] = [success(answer, 201) for answer in answers]
    assert len({json.dumps(document) for document in documents}) == 2
    assert sorted(replayed(answer) for answer in answers) == [False] * 2 + [True] * 4
    assert sorted(api.bodies("q")) == [1, 1, 2, 2]


def test_posts_without_a_key_are_never_replays(api: Api) -> None:
    for _ in range(2):
        answer = api.post("/v2/queues/q/messages", body=POST)
        assert answer.status_code == 201
        assert not replayed(answer)
    assert api.bodies("q") == [1, 2, 1, 2]
