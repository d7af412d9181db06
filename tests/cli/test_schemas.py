"""What programs read of ours is as its published schema says: log lines, figures of the load generator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator, ValidationError

from tests.docs.pages import ROOT, fenced
from tests.support.server import DEADLINE, Server, run

SCHEMAS = {
    path.stem: json.loads(path.read_text()) for path in (ROOT / "etc/schemas").glob("*.json")
}
LOG_LINE = Draft202012Validator(SCHEMAS["log-line"])
BENCH = Draft202012Validator(SCHEMAS["bench"])
PAGE = ROOT / "docs" / "monitoring.md"


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert name in ("bench", "log-line")


@pytest.mark.usefixtures("web_server")
def test_every_line_of_the_log_is_as_its_schema_says(tmp_path: Path) -> None:
    with Server(
        tmp_path, log_format="json", log_level="debug", metrics_bind="127.0.0.1:0"
    ) as server:
        with httpx.Client(base_url=server.url, timeout=DEADLINE) as http:
            http.post("/v2/queues/q/messages", json={"messages": [{"body": 1}]})
            http.get("/v2/queues", headers={"X-Request-ID": "mine-1"})
            http.get("/v2/queues/b%20d")
            http.get(
                "/v2/queues/q/messages?limit=0", headers={"X-Project-ID": "p\x85".encode("latin-1")}
            )
            http.request("MADE", "/nothing")
            http.get("/", headers={"X-Big": "x" * 65536})
        (tmp_path / "queueing.db").unlink()  # and the store is away
        assert httpx.get(f"{server.url}/v2/ping", timeout=DEADLINE).status_code == 503
        server.stop()
        lines = [json.loads(line) for line in server.output().splitlines()]
    for line in lines:
        LOG_LINE.validate(line)
    assert sum(line["logger"] == "queueing.access" for line in lines) >= 6
    warned = [line for line in lines if line["logger"] == "queueing.api"]
    assert warned and all(line["request_id"] for line in warned)


def test_the_line_that_the_page_shows_is_one(tmp_path: Path) -> None:
    (shown,) = [json.loads(text) for language, text in fenced(PAGE) if language == "json"]
    LOG_LINE.validate(shown)
    with Server(tmp_path, log_format="json") as server:
        body = {"messages": [{"body": 1}]}
        httpx.post(f"{server.url}/v2/queues/orders/messages", json=body, timeout=DEADLINE)
        server.stop()
        lines = [json.loads(line) for line in server.output().splitlines()]
    last = [line for line in lines if line["logger"] == "queueing.access"][-1]
    assert set(last) == set(shown)
    assert last["message"] == shown["message"]


@pytest.mark.parametrize("options", [["--check"], ["--cyclers", "1", "--observers", "1"]])
def test_the_figures_of_the_load_generator_are_as_their_schema_says(
    options: list[str], tmp_path: Path
) -> None:
    with Server(tmp_path) as server:
        done = run(
            *("bench", server.url, "--messages", "20", "--json", "-", *options), directory=tmp_path
        )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    BENCH.validate(figures)
    assert figures["operations"] and (figures["check"] is None) is ("--check" not in options)


@pytest.mark.parametrize(
    "change",
    [
        {"time": "2030-01-01 00:00:00"},
        {"level": "warning"},
        {"status": "201"},
        {"path": "/v2/queues/a b"},
        {"surprise": 1},
        {"request_id": None},
    ],
)
def test_a_line_that_is_none_is_noticed(change: dict[str, Any]) -> None:
    (shown,) = [json.loads(text) for language, text in fenced(PAGE) if language == "json"]
    with pytest.raises(ValidationError):
        LOG_LINE.validate(shown | change)
