"""By default a request needs nothing but a URL (E1); in strict mode it needs what Zaqar asks for."""

from __future__ import annotations

import uuid

from tests.support.http import FORM_TYPE, Api, empty, refused, success

NAMELESS = {"X-Project-ID": None, "Client-ID": None}
MESSAGES = b'{"messages": [{"body": "hello"}]}'


def test_the_first_message_needs_only_a_url(api: Api) -> None:
    queue = f"demo-{uuid.uuid4().hex}"
    curl = {**NAMELESS, "Content-Type": FORM_TYPE}
    posted = success(api.post(f"/v2/queues/{queue}/messages", body=MESSAGES, headers=curl), 201)
    claimed = api.post(f"/v2/queues/{queue}/claims", headers=NAMELESS)
    [message] = success(claimed, 201)["messages"]
    assert message["body"] == "hello"
    assert message["href"].startswith(posted["resources"][0])
    empty(api.delete(message["href"], headers=NAMELESS))
    empty(api.delete(f"/v2/queues/{queue}", headers=NAMELESS))


def test_a_nameless_client_hides_nothing_and_is_hidden_from_nobody(api: Api) -> None:
    nameless = {"Client-ID": None}
    success(api.post("/v2/queues/q/messages", body=MESSAGES, headers=nameless), 201)
    api.say("q", "mine")

    def seen(headers: dict[str, None], query: str) -> list[str]:
        listing = success(api.get(f"/v2/queues/q/messages{query}", headers=headers))
        return [message["body"] for message in listing["messages"]]

    assert seen(nameless, "") == ["hello", "mine"]
    assert seen(nameless, "?echo=false") == ["hello", "mine"]
    assert seen({}, "") == ["hello"]
    assert seen({}, "?echo=true") == ["hello", "mine"]


def test_forms_are_read_as_json_unless_strict(api: Api, strict: Api) -> None:
    headers = {"Content-Type": FORM_TYPE}
    success(api.post("/v2/queues/q/messages", body=MESSAGES, headers=headers), 201)
    empty(api.put("/v2/queues/p", body=b'{"a": 1}', headers=headers), 201)
    assert api.metadata("p")["a"] == 1
    refused(
        strict.post("/v2/queues/q/messages", body=MESSAGES, headers=headers),
        400,
        "Invalid Content-Type",
    )
    assert strict.queue_names() == []


def test_what_is_there_but_wrong_is_refused_in_both_modes(api: Api, strict: Api) -> None:
    for node in (api, strict):
        refused(node.get("/v2/queues", headers={"Client-ID": ""}), 400, "Wrong UUID value")
        refused(node.get("/v2/queues", headers={"Client-ID": "me"}), 400, "Wrong UUID value")
        refused(
            node.get("/v2/queues", headers={"X-Project-ID": ""}),
            400,
            "Empty project header not allowed",
        )


def test_strict_mode_asks_for_both_headers(strict: Api) -> None:
    refused(strict.get("/v2/queues", headers=NAMELESS), 400, "Missing header value")
    refused(strict.get("/v2/queues", headers={"X-Project-ID": None}), 400, "Project-Id Missing")
    assert strict.get("/", headers=NAMELESS).status_code == 300
