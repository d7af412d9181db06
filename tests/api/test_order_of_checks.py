"""A request that breaks several rules is answered for the first of them in the order of checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations

import httpx
import pytest

from tests.support.http import API, BODY, FORM_TYPE, NAME, PARAMETER, PATCH_TYPE, Api
from tests.support.node import Node

ONE_STORE = True

LONG_PROJECT = "p" * 257


@dataclass
class Request:
    """A good request that fails only for want of what it names: renewing a claim that is not there."""

    method: str = "PATCH"
    path: str = "/v2/queues/{queue}/claims/nope"
    queue: str = "q"
    query: str = ""
    body: bytes | None = b"{}"
    headers: dict[str, str | None] = field(default_factory=dict)

    def send(self, api: Api) -> httpx.Response:
        path = self.path.format(queue=self.queue) + self.query
        return api.request(self.method, path, body=self.body, headers=self.headers)


Break = Callable[[Request], None]


def route(request: Request) -> None:
    request.path = "/v2/queues/{queue}/claims/nope/nope"


def form(request: Request) -> None:
    request.headers["Content-Type"] = FORM_TYPE


def accept(request: Request) -> None:
    request.headers["Accept"] = "text/html"


def client(request: Request) -> None:
    request.headers["Client-ID"] = None


def client_malformed(request: Request) -> None:
    request.headers["Client-ID"] = "not-a-uuid"


def project(request: Request) -> None:
    request.headers["X-Project-ID"] = None


def project_empty(request: Request) -> None:
    request.headers["X-Project-ID"] = ""


def project_long(request: Request) -> None:
    request.headers["X-Project-ID"] = LONG_PROJECT


def name(request: Request) -> None:
    request.queue = "bad!name"


def method(request: Request) -> None:
    request.method = "PUT"


def body_syntax(request: Request) -> None:
    request.body = b"{"


def body_content(request: Request) -> None:
    request.body = b'{"ttl": 1}'


def nothing(request: Request) -> None:
    """The claim is missing in any case."""


CHECKS: list[tuple[int, Break, int, str]] = [
    (2, route, 404, "404 Not Found"),
    (4, form, 400, "Invalid Content-Type"),
    (5, accept, 406, ""),
    (6, client, 400, "Missing header value"),
    (6, client_malformed, 400, "Wrong UUID value"),
    (7, project, 400, "Project-Id Missing"),
    (7, project_empty, 400, "Empty project header not allowed"),
    (8, project_long, 400, NAME),
    (8, name, 400, NAME),
    (9, method, 405, "405 Method Not Allowed"),
    (12, body_syntax, 400, BODY),
    (12, body_content, 400, API),
    (13, nothing, 404, "Not found"),
]
SAME_HEADER = ({project, project_long}, {project_empty, project_long})
PAIRS = [
    (a, b) for a, b in combinations(CHECKS, 2) if a[0] != b[0] and {a[1], b[1]} not in SAME_HEADER
]


def answered(response: httpx.Response, status: int, title: str) -> None:
    assert response.status_code == status, response.text
    if title:
        assert response.json()["title"] == title


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check[1].__name__)
def test_each_check_alone(strict: Api, check: tuple[int, Break, int, str]) -> None:
    _, breaks, status, title = check
    request = Request()
    breaks(request)
    answered(request.send(strict), status, title)


@pytest.mark.parametrize(
    ("first", "second"), PAIRS, ids=[f"{a[1].__name__}-{b[1].__name__}" for a, b in PAIRS]
)
def test_first_failing_check_decides(
    strict: Api, first: tuple[int, Break, int, str], second: tuple[int, Break, int, str]
) -> None:
    _, breaks, status, title = first
    request = Request()
    breaks(request)
    second[1](request)
    answered(request.send(strict), status, title)


RESTRICTED = {"policy": {"claims:create": "role:admin", "queues:get_all": "role:admin"}}


@pytest.mark.parametrize(
    ("breaks", "status", "title"),
    [(c[1], c[2], c[3]) for c in CHECKS if c[0] < 9],
    ids=[c[1].__name__ for c in CHECKS if c[0] < 9],
)
def test_policy_comes_after_identity_and_name(
    node_with: Callable[..., Node], breaks: Break, status: int, title: str
) -> None:
    api = node_with(strict_headers=True, **RESTRICTED).api()
    request = Request(method="POST", path="/v2/queues/{queue}/claims")
    answered(request.send(api), 403, "Not authorized")
    breaks(request)
    answered(request.send(api), status, title)


def test_policy_comes_after_the_method(node_with: Callable[..., Node]) -> None:
    api = node_with(strict_headers=True, **RESTRICTED).api()
    answered(api.delete("/v2/queues"), 405, "405 Method Not Allowed")


def test_policy_comes_before_query_body_and_state(node_with: Callable[..., Node]) -> None:
    api = node_with(strict_headers=True, **RESTRICTED).api()
    answered(api.get("/v2/queues?limit=99"), 403, "Not authorized")
    answered(api.post("/v2/queues/q/claims", body="{"), 403, "Not authorized")
    answered(api.get("/v2/queues", headers={"X-Roles": "admin"}), 200, "")


@pytest.mark.parametrize(
    ("query", "title"), [("?limit=x", PARAMETER), ("?limit=99", API), ("?limit=0", API)]
)
@pytest.mark.parametrize("body", [b"{", b"[]", b'{"ttl": "x"}', b'{"ttl": 1}'])
def test_query_comes_before_the_body(strict: Api, query: str, title: str, body: bytes) -> None:
    answered(strict.post(f"/v2/queues/q/claims{query}", body=body), 400, title)


@pytest.mark.parametrize(
    ("query", "title"), [("limit=x", PARAMETER), ("limit=99", API), ("echo=maybe", PARAMETER)]
)
def test_query_comes_before_the_state(strict: Api, query: str, title: str) -> None:
    answered(strict.get(f"/v2/queues/missing/messages?{query}"), 400, title)


def test_size_comes_before_the_syntax_and_the_syntax_before_the_content(strict: Api) -> None:
    garbage = b"{" * 262145
    answered(strict.post("/v2/queues/q/messages", body=garbage), 400, API)
    answered(strict.post("/v2/queues/q/messages", body=garbage[:-1]), 400, BODY)
    answered(strict.put("/v2/queues/q", body=b"{" * 65537), 400, API)
    answered(strict.put("/v2/queues/q", body=b"{" * 65536), 400, BODY)
    broken = b'{"messages": [{"body": 1, "ttl": 1}]'
    answered(strict.post("/v2/queues/q/messages", body=broken), 400, BODY)


def test_media_type_and_body_of_a_patch_come_before_the_state(strict: Api) -> None:
    answered(strict.patch("/v2/queues/missing", body=b"{"), 415, "415 Unsupported Media Type")
    headers = {"Content-Type": PATCH_TYPE}
    answered(strict.patch("/v2/queues/missing", body=b"{", headers=headers), 400, BODY)
    answered(strict.patch("/v2/queues/missing", body=b"[]", headers=headers), 404, "Not found")
