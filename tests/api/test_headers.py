"""Headers of requests and answers, and media types."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable

import pytest

from queueing.config import Settings
from tests.support.http import (
    BODY,
    FORM_TYPE,
    PATCH_TYPE,
    Answer,
    Api,
    Wire,
    chunked,
    empty,
    refused,
    request_bytes,
    success,
)
from tests.support.node import Node
from tests.support.stores import Place, Store

ONE_STORE = True

REQUEST_ID = re.compile(
    r"req-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII
)
MESSAGES = b'{"messages": [{"body": 1}]}'


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 300),
        ("GET", "/v2/", 200),
        ("GET", "/v2/ping", 204),
        ("GET", "/v2/queues", 200),
        ("PUT", "/v2/queues/q", 201),
        ("GET", "/v2/nope", 404),
        ("GET", "/v2/queues/q/messages/m", 404),
        ("POST", "/v2/queues", 405),
        ("HEAD", "/v2/queues", 405),
        ("GET", "/v2/queues/bad!name", 400),
        ("FETCH", "/v2/queues", 400),
        ("OPTIONS", "/v2/queues", 200),
        ("GET", "/v2/queues?limit=x", 400),
    ],
)
def test_every_answer_has_a_request_id_of_its_own(
    api: Api, method: str, path: str, status: int
) -> None:
    first = api.request(method, path)
    assert first.status_code == status
    second = api.request(method, path)
    ids = [answer.headers["X-OpenStack-Request-ID"] for answer in (first, second)]
    assert all(REQUEST_ID.fullmatch(id) for id in ids)
    assert ids[0] != ids[1]


def test_answers_to_failed_header_checks_have_a_request_id(strict: Api) -> None:
    for headers in (
        {"Client-ID": None},
        {"X-Project-ID": ""},
        {"Accept": "text/html"},
    ):
        answer = strict.get("/v2/queues", headers=headers)
        assert REQUEST_ID.fullmatch(answer.headers["X-OpenStack-Request-ID"])


def test_header_names_are_case_insensitive(strict: Api) -> None:
    headers = {
        "X-Project-ID": None,
        "Client-ID": None,
        "x-PROJECT-id": strict.project,
        "cLIENT-iD": strict.client_id,
    }
    empty(strict.put("/v2/queues/q", headers=headers), 201)
    assert strict.queue_names() == ["q"]


def test_locations_are_paths(api: Api) -> None:
    created = api.put("/v2/queues/q")
    assert created.headers["Location"] == "/v2/queues/q"
    existed = api.put("/v2/queues/q")
    assert existed.status_code == 204
    assert existed.headers["Location"] == "/v2/queues/q"
    posted = api.post("/v2/queues/q/messages", json={"messages": [{"body": 1}, {"body": 2}]})
    ids = [href.rsplit("/", 1)[1] for href in posted.json()["resources"]]
    assert posted.headers["Location"] == f"/v2/queues/q/messages?ids={ids[0]},{ids[1]}"
    claimed = api.post("/v2/queues/q/claims")
    assert re.fullmatch(r"/v2/queues/q/claims/[A-Za-z0-9_-]+", claimed.headers["Location"])
    nothing_left = api.post("/v2/queues/q/claims")
    assert nothing_left.status_code == 204
    assert "Location" not in nothing_left.headers


def ask(api: Api, method: str, path: str, *extra: tuple[str, str], body: bytes = b"") -> Answer:
    """A request with exactly these headers beside the identity; httpx would add some."""
    headers = [*api.headers.items(), *extra]
    with Wire(api.url) as wire:
        data = request_bytes(method, path, headers, body or None)
        answer = wire.ask(data, method)
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "application/*",
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;q=0.1",
        "text/html, application/json",
        "text/html,application/json;q=0.5,text/plain;q=0.1",
        "text/html, */*;q=0.1",
    ],
)
def test_accept_that_admits_json(strict: Api, accept: str | None) -> None:
    extra = [] if accept is None else [("Accept", accept)]
    assert ask(strict, "GET", "/v2/queues", *extra).status == 200


@pytest.mark.parametrize(
    "accept",
    ["text/html", "application/xml", "application/json;q=0", "text/*", "json", "garbage///"],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/queues"),
        ("PUT", "/v2/queues/q"),
        ("POST", "/v2/queues/q/claims"),
        ("DELETE", "/v2/queues/q"),
        ("GET", "/"),
        ("GET", "/v2/ping"),
    ],
)
def test_accept_that_does_not(strict: Api, accept: str, method: str, path: str) -> None:
    answer = ask(strict, method, path, ("Accept", accept))
    assert answer.status == 406
    if answer.body:
        assert answer.json()["title"] == "406 Not Acceptable"
    assert strict.queue_names() == []


def test_text_is_sent_raw(api: Api) -> None:
    api.put("/v2/queues/q", body='{"größe": "ß"}'.encode())
    assert '"größe":"ß"' in api.get("/v2/queues/q").text.replace(" ", "")
    api.post("/v2/queues/q/messages", body='{"messages": [{"body": "日本"}]}'.encode())
    answer = api.get("/v2/queues/q/messages?echo=true")
    assert "日本".encode() in answer.content
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "content_type",
    [None, "application/json", "text/plain", "application/json; charset=utf-8", "x", "", "a/b/c"],
)
def test_content_type_does_not_matter(strict: Api, content_type: str | None) -> None:
    extra = [] if content_type is None else [("Content-Type", content_type)]
    answer = ask(strict, "POST", "/v2/queues/q/messages", *extra, body=MESSAGES)
    assert answer.status == 201
    assert strict.bodies("q") == [1]


@pytest.mark.parametrize(
    "form", [FORM_TYPE, FORM_TYPE.upper(), "Application/X-WWW-Form-URLEncoded"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v2/queues/q/messages"), ("PUT", "/v2/queues/q"), ("GET", "/v2/queues")],
)
def test_forms_are_refused_in_strict_mode(strict: Api, form: str, method: str, path: str) -> None:
    answer = strict.request(method, path, body=MESSAGES, headers={"Content-Type": form})
    refused(answer, 400, "Invalid Content-Type")
    assert strict.queue_names() == []


def test_q52_an_announced_empty_form_is_refused(strict: Api) -> None:
    headers = {"Content-Type": FORM_TYPE, "Content-Length": "0"}
    refused(strict.post("/v2/queues/q/claims", headers=headers), 400, "Invalid Content-Type")


def test_q52_only_the_exact_form_type_counts_and_only_with_a_length(strict: Api) -> None:
    exact = ("Content-Type", FORM_TYPE)
    with_charset = ("Content-Type", f"{FORM_TYPE}; charset=utf-8")
    assert ask(strict, "GET", "/v2/queues", exact).status == 200
    path = "/v2/queues/q/messages"
    assert ask(strict, "POST", path, with_charset, body=MESSAGES).status == 201


@pytest.mark.parametrize(
    "content_type", [PATCH_TYPE, f"{PATCH_TYPE}; charset=utf-8", f"{PATCH_TYPE};charset=utf-8"]
)
def test_q26_patch_takes_its_type_with_parameters(api: Api, content_type: str) -> None:
    api.create("q")
    answer = api.patch("/v2/queues/q", body="[]", headers={"Content-Type": content_type})
    assert success(answer)["_default_message_ttl"] == 3600


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json-patch+json", "text/plain", f"{PATCH_TYPE}x", ""],
)
def test_patch_refuses_other_types(api: Api, content_type: str) -> None:
    api.create("q")
    headers = {"Content-Type": content_type}
    answer = api.patch("/v2/queues/q", json=[], headers=headers)
    refused(answer, 415, "415 Unsupported Media Type", PATCH_TYPE)


def test_patch_without_a_type(api: Api) -> None:
    api.create("q")
    answer = ask(api, "PATCH", "/v2/queues/q", body=b"[]")
    assert answer.status == 415
    assert answer.json()["title"] == "415 Unsupported Media Type"


def test_content_encoding_is_not_interpreted(api: Api) -> None:
    headers = {"Content-Encoding": "gzip"}
    squeezed = gzip.compress(MESSAGES)
    refused(api.post("/v2/queues/q/messages", body=squeezed, headers=headers), 400, BODY)
    success(api.post("/v2/queues/q/messages", body=MESSAGES, headers=headers), 201)
    assert api.bodies("q") == [1]


@pytest.mark.gunicorn_only
def test_q53_chunked_bodies_are_read(api: Api) -> None:
    with Wire(api.url) as wire:
        headers = [*api.headers.items(), ("Transfer-Encoding", "chunked")]

        def ask_chunked(method: str, path: str, *pieces: bytes) -> Answer | None:
            return wire.ask(request_bytes(method, path, headers) + chunked(*pieces), method)

        answer = ask_chunked("PUT", "/v2/queues/q", b'{"owner"', b': "me"}')
        assert answer is not None and answer.status == 201
        answer = ask_chunked("POST", "/v2/queues/q/messages", MESSAGES[:5], MESSAGES[5:])
        assert answer is not None and answer.status == 201
        answer = ask_chunked("POST", "/v2/queues/q/claims", b'{"ttl"', b": 77}")
        assert answer is not None and answer.status == 201
        claim = answer.header("Location")
    assert api.metadata("q")["owner"] == "me"
    assert success(api.get(str(claim)))["ttl"] == 77


@pytest.mark.gunicorn_only
def test_q53_chunked_bodies_have_the_same_limits(api: Api) -> None:
    def pieces(size: int) -> list[bytes]:
        padded = MESSAGES + b" " * (size - len(MESSAGES))
        return [padded[start : start + 65536] for start in range(0, size, 65536)]

    success(api.post("/v2/queues/q/messages", body=iter(pieces(262144))), 201)
    refused(
        api.post("/v2/queues/q/messages", body=iter(pieces(262145))), 400, "Invalid API request"
    )
    assert api.bodies("q") == [1]


def test_errors_are_json_objects_with_title_and_description(api: Api) -> None:
    answer = api.post("/v2/queues/q/messages", json={"messages": []})
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/json"
    error = json.loads(answer.content)
    assert error.keys() == {"title", "description"}
    assert all(isinstance(value, str) and value for value in error.values())


@pytest.mark.parametrize("given", ["a", "trace-1/2:3", "req_~.+=@", "x" * 128])
def test_a_sane_request_id_is_given_back(api: Api, given: str) -> None:
    answer = api.get("/v2/queues", headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] == given
    assert REQUEST_ID.fullmatch(answer.headers["X-OpenStack-Request-ID"])


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a;b", "<b>", '"', b"\xff", "a,b"])
def test_an_insane_request_id_is_not(api: Api, given: str | bytes) -> None:
    answer = api.get("/v2/queues", headers={"X-Request-ID": given})
    assert answer.status_code == 200
    assert answer.headers["X-Request-ID"] == answer.headers["X-OpenStack-Request-ID"]


def test_other_origins_are_only_welcome_if_configured(
    api: Api, node_with: Callable[..., Node]
) -> None:
    page = {"Origin": "https://page.test"}
    ask = {**page, "Access-Control-Request-Method": "POST"}
    for answer in (api.get("/v2/queues", headers=page), api.options("/v2/queues", headers=ask)):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    welcoming = node_with(cors_allowed_origins=("https://page.test",)).api()
    answer = welcoming.get("/v2/queues", headers=page)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://page.test"
    answer = welcoming.get("/v2/queues", headers={"Origin": "https://other.test"})
    assert "Access-Control-Allow-Origin" not in answer.headers
    nameless = {"Client-ID": None, "X-Project-ID": None}
    preflight = welcoming.options("/v2/queues/q/messages", headers={**ask, **nameless})
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://page.test"
    allowed = preflight.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"client-id", "x-project-id", "content-type"} <= set(allowed)
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]


def test_links_do_not_name_the_place_where_the_service_is_mounted(
    served_store: Store, fresh_place: Callable[[], Place]
) -> None:
    storage = served_store.open(fresh_place())
    with Node(Settings(), storage, mounted_at="/mounted") as node:
        api = node.api()
        assert api.put("/mounted/v2/queues/q").headers["Location"] == "/v2/queues/q"
        posted = api.post("/mounted/v2/queues/q/messages", body=MESSAGES)
        [href] = success(posted, 201)["resources"]
        assert href.startswith("/v2/queues/q/messages/")
        assert posted.headers["Location"].startswith("/v2/queues/q/messages?ids=")
        for path in ("/v2/queues", "/v2/queues/q/messages?echo=true"):
            listing = success(api.get(f"/mounted{path}"))
            assert listing["links"][0]["href"].startswith(path.partition("?")[0])
        claimed = api.post("/mounted/v2/queues/q/claims")
        assert claimed.headers["Location"].startswith("/v2/queues/q/claims/")
