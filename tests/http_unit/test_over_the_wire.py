"""What is seen from outside: the access log, pages of other origins, overridden policies, bugs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from queueing.config import Settings
from queueing.core.errors import SetupError, StorageUnavailable
from queueing.logs import JsonFormatter, TextFormatter
from tests.model import ModelStorage
from tests.support.http import Api
from tests.support.node import Node


@contextmanager
def serving(storage: ModelStorage | None = None, **settings: Any) -> Iterator[Api]:
    with Node(Settings(**settings), storage or ModelStorage()) as node:
        yield node.api()


def lines(caplog: pytest.LogCaptureFixture, formatter: logging.Formatter) -> list[str]:
    return [
        formatter.format(record) for record in caplog.records if record.name == "queueing.access"
    ]


def test_a_request_is_a_line_in_the_access_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "queueing.access")
    with serving() as api:
        answer = api.post(
            "/v2/queues/q/messages?secret=s3cret",
            json={"messages": [{"body": "pr1vate"}]},
            headers={"X-Request-ID": "mine-1", "X-Auth-Token": "t0ken"},
        )
    assert answer.headers["X-Request-ID"] == "mine-1"
    [line] = lines(caplog, TextFormatter())
    assert "queueing.access POST /v2/queues/q/messages 201 ms=" in line
    assert f"bytes={len(answer.content)} project={api.project} request_id=mine-1" in line
    assert f"openstack_request_id={answer.headers['X-OpenStack-Request-ID']}" in line
    assert "remote=127.0.0.1" in line
    for secret in ("s3cret", "pr1vate", "t0ken"):
        assert secret not in line


def test_as_json_the_line_has_members(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "queueing.access")
    with serving(log_format="json") as api:
        answer = api.get("/v2/queues/b%20d")
    [line] = map(json.loads, lines(caplog, JsonFormatter()))
    assert line["method"] == "GET" and line["path"] == "/v2/queues/b%20d"
    assert line["status"] == 400 and line["bytes"] == len(answer.content)
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert line["project"] == api.project and line["ms"] >= 0


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_nobody_writes_lines_or_words_of_their_own_into_the_log(
    caplog: pytest.LogCaptureFixture, log_format: str
) -> None:
    caplog.set_level(logging.INFO, "queueing.access")
    formatter = JsonFormatter() if log_format == "json" else TextFormatter()
    with serving(log_format=log_format) as api:
        api.get("/v2/queues/a%0A2030%20INFO%20forged%C2%85%E2%80%A8")
        api.get("/v2/queues", headers={"X-Project-ID": "p\x85 status=500".encode("latin-1")})
        api.get("/v2/queues", headers={"X-Request-ID": "one two"})
    found = lines(caplog, formatter)
    assert len(found) == 3
    for line in found:
        assert len(line.splitlines()) == 1 and line.isprintable()
        assert " INFO forged" not in line and "one two" not in line
    if log_format == "text":
        assert "project='p\\x85 status=500'" in found[1]


def test_without_an_access_log_there_is_no_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(access_log=False) as api:
        api.get("/v2/queues")
    assert not lines(caplog, TextFormatter())


@pytest.mark.parametrize("given", ["a" * 129, "a b", "a\tb", 'a"b', "", "a;b", "a\xe9"])
def test_an_odd_request_id_is_replaced_by_ours(given: str) -> None:
    with serving() as api:
        answer = api.get("/v2/ping", headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] == answer.headers["X-OpenStack-Request-ID"]


def test_pages_of_other_origins_get_no_leave_unless_configured() -> None:
    with serving() as api:
        answer = api.get("/v2/queues", headers={"Origin": "https://a.example"})
    assert not [name for name in answer.headers if name.startswith(("access-control-", "vary"))]


def test_pages_of_the_configured_origins_may_call() -> None:
    with serving(cors_allowed_origins=("https://a.example",)) as api:
        answer = api.get("/v2/nope", headers={"Origin": "https://a.example"})
        stranger = api.get("/v2/queues", headers={"Origin": "https://b.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    exposed = answer.headers["Access-Control-Expose-Headers"]
    assert {"Claim-Fence", "Location", "Retry-After"} <= set(exposed.split(", "))
    assert answer.headers["Vary"] == stranger.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Origin" not in stranger.headers


def test_a_preflight_is_answered_without_the_headers_it_cannot_have() -> None:
    with serving(cors_allowed_origins=("*",), strict_headers=True) as api:
        answer = api.options(
            "/v2/queues/q/messages",
            headers={
                "Origin": "https://a.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "client-id",
                "Client-ID": None,
                "X-Project-ID": None,
            },
        )
    assert answer.status_code == 200 and answer.content == b""
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"].split(", ")
    allowed = answer.headers["Access-Control-Allow-Headers"].split(", ")
    assert {"Client-ID", "X-Project-ID", "Idempotency-Key", "Content-Type"} <= set(allowed)


def test_an_overridden_rule_is_asked_before_the_query_and_the_body() -> None:
    with serving(policy={"messages:create": "role:producer", "queues:get_all": "!"}) as api:
        refused = api.post("/v2/queues/q/messages", body=b"{")
        assert refused.status_code == 403
        assert refused.json()["title"] == "Not authorized"
        assert "role:producer" in refused.json()["description"]
        message = {"messages": [{"body": 1}]}
        roles = {"X-Roles": "member,Producer"}
        assert api.post("/v2/queues/q/messages", json=message, headers=roles).status_code == 201
        assert api.get("/v2/queues?limit=x", headers={"X-Roles": "admin"}).status_code == 403
        assert api.put("/v2/queues").status_code == 405


def test_a_bad_rule_refuses_to_start() -> None:
    with pytest.raises(SetupError, match=r"^policy: "), serving(policy={"queues:create": "nobody"}):
        pass


class Failing(ModelStorage):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def ping(self) -> None:
        raise self._error


def test_a_bug_says_nothing_and_is_logged_with_the_id_of_the_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serving(Failing(RuntimeError("password=hunter2")), access_log=False) as api:
        answer = api.get("/v2/ping")
    assert answer.status_code == 500
    assert answer.json()["title"] == "Internal server error"
    assert "hunter2" not in answer.text
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    line = TextFormatter().format(record)
    assert "RuntimeError: password=hunter2" in line and "Traceback" in line
    assert answer.headers["X-Request-ID"] in line


def test_a_store_that_is_away_is_503_and_worth_repeating(caplog: pytest.LogCaptureFixture) -> None:
    away = Failing(StorageUnavailable("no answer from db.internal:6379"))
    with serving(away, access_log=False) as api:
        answer = api.get("/v2/ping")
        assert api.head("/v2/ping").status_code == 204
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert answer.json()["title"] == "Service temporarily unavailable"
    assert "db.internal" not in answer.text and "db.internal" in caplog.text


def test_a_long_post_is_located_at_the_collection() -> None:
    with serving() as api:
        few = api.post("/v2/queues/q/messages", json={"messages": [{"body": 1}] * 100})
        many = api.post("/v2/queues/q/messages", json={"messages": [{"body": 1}] * 101})
    assert few.headers["Location"].count(",") == 99
    assert many.headers["Location"] == "/v2/queues/q/messages"
    assert len(many.json()["resources"]) == 101
