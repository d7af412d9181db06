"""Which routes and methods there are, and what the others are answered."""

from __future__ import annotations

import pytest

from tests.support.http import NAME, Api, Wire, empty, refused, request_bytes, success

ONE_STORE = True

METHODS = {
    "/": "GET",
    "/v2/": "GET",
    "/v2/ping": "GET, HEAD",
    "/v2/queues": "GET",
    "/v2/queues/q": "DELETE, GET, HEAD, PATCH, PUT",
    "/v2/queues/q/stats": "GET",
    "/v2/queues/q/purge": "POST",
    "/v2/queues/q/messages": "DELETE, GET, POST",
    "/v2/queues/q/messages/m": "DELETE, GET",
    "/v2/queues/q/claims": "POST",
    "/v2/queues/q/claims/c": "DELETE, GET, PATCH",
}
EVERY_METHOD = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
WRONG = [
    (path, method)
    for path, allowed in METHODS.items()
    for method in EVERY_METHOD
    if method not in allowed.split(", ")
]


@pytest.mark.parametrize(("path", "method"), WRONG)
def test_wrong_method_is_told_which_ones_there_are(api: Api, path: str, method: str) -> None:
    answer = api.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == f"{METHODS[path]}, OPTIONS"
    if method == "HEAD":
        assert answer.content == b""
    else:
        assert answer.json() == {"title": "405 Method Not Allowed"}


@pytest.mark.parametrize("path", METHODS)
def test_options_lists_the_methods_in_order(api: Api, path: str) -> None:
    answer = empty(api.options(path), 200)
    assert answer.headers["Allow"] == METHODS[path]


@pytest.mark.parametrize("missing", ["Client-ID", "X-Project-ID"])
def test_options_hides_a_failed_check_behind_an_empty_answer(strict: Api, missing: str) -> None:
    answer = empty(strict.options("/v2/queues/q", headers={missing: None}), 200)
    assert "Allow" not in answer.headers
    answer = empty(strict.options("/v2/queues/q"), 200)
    assert answer.headers["Allow"] == METHODS["/v2/queues/q"]


def test_options_of_a_bad_name_is_empty_too(api: Api) -> None:
    answer = empty(api.options("/v2/queues/bad!name"), 200)
    assert "Allow" not in answer.headers


@pytest.mark.parametrize("path", ["/v2/nope", "/nope", "/v2/queues/q/nope"])
def test_options_of_an_unknown_route_is_empty_too(api: Api, path: str) -> None:
    empty(api.options(path), 200)


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1.1",
        "/v1.1/queues",
        "/v3/queues",
        "/V2/queues",
        "/v2",
        "/v2/Queues",
        "/v2/nope",
        "/nope",
        "/v2/ping/",
        "/v2/queues/q/",
        "/v2/queues/q/messages/m/x",
        "/v2/queues/q/claims/c/messages",
        "/v2/queues/q/nope",
        "//v2/queues",
        "/v2//queues",
    ],
)
def test_unknown_route(api: Api, path: str) -> None:
    with Wire(api.url) as wire:
        answer = wire.ask(request_bytes("GET", path, api.headers.items()))
    assert answer is not None
    assert answer.status == 404
    assert answer.json() == {"title": "404 Not Found"}


@pytest.mark.parametrize("path", ["/v2/queues/q/messages/", "/v2/queues/q/claims/"])
def test_an_empty_id_is_an_unknown_one(api: Api, path: str) -> None:
    api.say("q", 1)
    assert api.get(path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/v2/queues/q/subscriptions",
        "/v2/queues/q/subscriptions/s",
        "/v2/queues/q/share",
        "/v2/topics",
        "/v2/topics/t",
        "/v2/pools",
        "/v2/flavors",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_routes_of_later_features_are_unknown(strict: Api, method: str, path: str) -> None:
    answer = strict.request(method, path, headers={"X-Roles": "admin"})
    assert answer.status_code == 404
    assert answer.json() == {"title": "404 Not Found"}


@pytest.mark.parametrize("path", ["/v2/queues/", "/v2/queues//messages", "/v2/queues//claims/c"])
def test_queue_with_an_empty_name(api: Api, path: str) -> None:
    refused(api.get(path), 400, NAME)


@pytest.mark.parametrize("verb", ["FETCH", "QUEUE", "BREW"])
@pytest.mark.parametrize("path", ["/v2/queues/q", "/v2/ping"])
def test_unknown_verb(api: Api, verb: str, path: str) -> None:
    refused(api.request(verb, path), 400, "Bad request")


def test_encoded_slash_splits_the_path(api: Api) -> None:
    assert api.get("/v2/queues/a%2Fb").status_code == 404
    api.say("q", 1)
    listing = success(api.get("/v2/queues/q%2Fmessages?echo=true"))
    assert [message["body"] for message in listing["messages"]] == [1]


def test_paths_are_decoded_once(api: Api) -> None:
    api.create("a.b")
    assert api.head("/v2/queues/a%2Eb").status_code == 204
    refused(api.get("/v2/queues/a%252Eb"), 400, NAME)


def test_there_is_no_listing_of_claims(api: Api) -> None:
    answer = api.get("/v2/queues/q/claims")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST, OPTIONS"
