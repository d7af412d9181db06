"""Log lines go to standard error, as text or as JSON, one per event, whoever writes them."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import httpx
import pytest

from queueing.logs import JsonFormatter, TextFormatter
from tests.support.server import DEADLINE, Server

pytestmark = pytest.mark.usefixtures("web_server")


def record(message: str, **extra: object) -> logging.LogRecord:
    values = {"name": "queueing.test", "levelname": "INFO", "msg": message, "created": 0.25}
    return logging.makeLogRecord({**values, "msecs": 250.0, **extra})


def test_a_line_of_text_has_time_level_logger_message_and_extras() -> None:
    line = TextFormatter().format(record("swept", things=3))
    assert line == "1970-01-01T00:00:00.250Z INFO queueing.test swept things=3"


def test_nobody_can_write_lines_of_their_own_into_the_log() -> None:
    line = TextFormatter().format(record("a\nb", project="c\r\n\x1b[31md"))
    assert line.endswith(r"a\nb project=c\r\n\x1b[31md")


def test_a_line_of_json_is_one_object_with_the_extras_as_members() -> None:
    line = JsonFormatter().format(record("a\nb", things=3))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.250Z",
        "level": "info",
        "logger": "queueing.test",
        "message": "a\nb",
        "things": 3,
    }


def test_with_the_json_format_every_line_is_json(tmp_path: Path) -> None:
    with Server(tmp_path, log_format="json") as server:
        httpx.get(f"{server.url}/v2/ping", timeout=DEADLINE)
        httpx.get(f"{server.url}/v2/ping", headers={"X-Big": "x" * 65536}, timeout=DEADLINE)
        server.stop()
        lines = [json.loads(line) for line in server.output().splitlines()]
    assert lines[0]["message"].startswith("queueing ")
    assert {line["logger"] for line in lines} == {"queueing.server", "queueing.access"}


def test_with_the_access_log_off_requests_leave_no_line(tmp_path: Path) -> None:
    with Server(tmp_path, access_log="false") as server:
        assert httpx.get(f"{server.url}/v2/ping", timeout=DEADLINE).status_code == 204
        server.stop()
        assert len(server.output().splitlines()) == 2


def test_passwords_in_the_storage_uri_are_not_printed(tmp_path: Path) -> None:
    with Server(tmp_path, message_encryption_key="swordfish", log_level="debug") as server:
        server.stop()
        assert "swordfish" not in server.output()
