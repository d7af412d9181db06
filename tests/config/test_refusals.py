"""What is refused: one line that names the setting, the value, where it stands and what is allowed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from queueing.config import KINDS, ConfigError, Settings, load


def refusal(environ: dict[str, str] | None = None, file: str | None = None) -> str:
    with pytest.raises(ConfigError) as refused:
        load(file, environ=environ or {})
    line = str(refused.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("workers", "many", "a whole number from 0 to 1024"),
        ("workers", "1.5", "a whole number from 0 to 1024"),
        ("workers", "", "a whole number from 0 to 1024"),
        ("workers", "-1", "a whole number from 0 to 1024"),
        ("workers", "1025", "a whole number from 0 to 1024"),
        ("workers", "٣", "a whole number from 0 to 1024"),
        ("workers", "1_0", "a whole number from 0 to 1024"),
        ("threads", "0", "a whole number from 1 to 512"),
        ("max_message_ttl", "59", "a whole number from 60 to 315360000"),
        ("max_message_ttl", "9" * 30, "a whole number from 60 to 315360000"),
        ("collect_seconds", "often", "a number from 0 to 86400"),
        ("collect_seconds", "nan", "a number from 0 to 86400"),
        ("collect_seconds", "inf", "a number from 0 to 86400"),
        ("collect_seconds", "-1", "a number from 0 to 86400"),
        ("storage_timeout_seconds", "0", "a number from 0.1 to 300"),
        ("strict_headers", "maybe", "true or false"),
        ("strict_headers", "", "true or false"),
        ("log_format", "xml", '"text" or "json"'),
        ("log_level", "INFO", 'one of "debug", "info", "warning", "error"'),
        ("client_id_uuid_safe", "on", '"strict" or "off"'),
        ("policy", "role:admin", "a table of strings (in the environment: a JSON object)"),
        (
            "policy",
            '{"queues:create": 1}',
            "a table of strings (in the environment: a JSON object)",
        ),
        ("policy", "[]", "a table of strings (in the environment: a JSON object)"),
        ("bind", "8888", "host:port, as 127.0.0.1:8888 or [::1]:8888, the port from 0 to 65535"),
        ("bind", ":8888", "host:port, as 127.0.0.1:8888 or [::1]:8888, the port from 0 to 65535"),
        (
            "bind",
            "::1:8888",
            "host:port, as 127.0.0.1:8888 or [::1]:8888, the port from 0 to 65535",
        ),
        ("bind", "h:65536", "host:port, as 127.0.0.1:8888 or [::1]:8888, the port from 0 to 65535"),
        (
            "bind",
            "http://h:1",
            "host:port, as 127.0.0.1:8888 or [::1]:8888, the port from 0 to 65535",
        ),
        ("storage", "", "a URI, as sqlite:///queueing.db"),
        ("storage", "queueing.db", "a URI, as sqlite:///queueing.db"),
        ("cors_allowed_origins", "example.org", "origins as https://example.org, or *"),
        ("cors_allowed_origins", "https://example.org/", "origins as https://example.org, or *"),
    ],
)
def test_a_value_that_a_setting_cannot_have(name: str, text: str, allowed: str) -> None:
    variable = f"QUEUEING_{name.upper()}"
    line = refusal({variable: text})
    assert line.startswith(f"{name} = ")
    assert f"({variable}): expected {allowed}" in line
    assert text[:100].replace('"', "'") in line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('workers = "4"', "workers = '4' ({file}): expected a whole number from 0 to 1024"),
        ("workers = true", "workers = True ({file}): expected a whole number from 0 to 1024"),
        ("workers = 4.0", "workers = 4.0 ({file}): expected a whole number from 0 to 1024"),
        ("strict_headers = 1", "strict_headers = 1 ({file}): expected true or false"),
        ("strict_headers = 'true'", "strict_headers = 'true' ({file}): expected true or false"),
        ("collect_seconds = inf", "collect_seconds = inf ({file}): expected a number from 0 to 86400"),
        ("storage = 1", "storage = 1 ({file}): expected a string"),
        ("log_format = []", "log_format = [] ({file}): expected \"text\" or \"json\""),
        (
            "cors_allowed_origins = 'https://a.example'",
            ("cors_allowed_origins = 'https://a.example' ({file}): "
            "expected a list of strings (in the environment: separated by commas)"),
        ),
        (
            "cors_allowed_origins = [1]",
            ("cors_allowed_origins = [1] ({file}): "
            "expected a list of strings (in the environment: separated by commas)"),
        ),
        (
            "policy = '@'",
            "policy = '@' ({file}): expected a table of strings (in the environment: a JSON object)",
        ),
        (
            "max_claim_tt = 1",
            "max_claim_tt = 1 ({file}): there is no such setting; did you mean max_claim_ttl?",
        ),
        (
            "[listener]\nport = 1",
            ("listener = {{'port': 1}} ({file}): there is no such setting; "
            "`queueing config` lists those there are"),
        ),
    ],
)  # fmt: skip
def test_a_file_with_what_cannot_be(tmp_path: Path, text: str, line: str) -> None:
    file = tmp_path / "queueing.toml"
    file.write_text(text)
    assert refusal(file=str(file)) == line.format(file=file)


def test_a_file_that_is_not_toml_is_refused_with_the_place(tmp_path: Path) -> None:
    file = tmp_path / "queueing.toml"
    file.write_text("workers: 4\n")
    line = refusal(file=str(file))
    assert line.startswith(f"{file}: is not TOML: ")
    assert "line 1" in line
    file.write_bytes(b'storage = "\xff"')
    assert refusal(file=str(file)).startswith(f"{file}: is not TOML: ")


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    file = tmp_path / "missing.toml"
    line = f"{file}: cannot be read: No such file or directory"
    assert refusal(file=str(file)) == line
    assert refusal({"QUEUEING_CONFIG": str(file)}) == line
    assert refusal(file=str(tmp_path)) == f"{tmp_path}: cannot be read: Is a directory"


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("QUEUEING_MAX_CLAIM_TT", "did you mean QUEUEING_MAX_CLAIM_TTL?"),
        ("QUEUEING_workers", "did you mean QUEUEING_WORKERS?"),
        ("QUEUEING_", "`queueing config` lists those there are"),
        ("QUEUEING_PORT", "there is no such setting"),
    ],
)
def test_a_variable_of_no_setting(variable: str, hint: str) -> None:
    line = refusal({variable: "8888"})
    assert line.startswith(f"{variable} = '8888' (environment): there is no such setting")
    assert hint in line


@pytest.mark.parametrize(
    ("smaller", "larger", "value"),
    [
        ("default_message_ttl", "max_message_ttl", 600),
        ("default_message_delay", "max_message_delay", 0),
        ("default_claim_ttl", "max_claim_ttl", 60),
        ("default_claim_grace", "max_claim_grace", 60),
        ("min_length_client_id", "max_length_client_id", 9),
    ],
)
def test_a_default_or_a_minimum_above_its_maximum(smaller: str, larger: str, value: int) -> None:
    above = value + 1
    environ = {f"QUEUEING_{larger.upper()}": str(value), f"QUEUEING_{smaller.upper()}": str(above)}
    assert refusal(environ) == (
        f"{smaller} = {above} (QUEUEING_{smaller.upper()}): "
        f"expected at most {larger} = {value} (QUEUEING_{larger.upper()})"
    )


def test_a_maximum_below_a_default_that_nobody_chose_is_refused_too() -> None:
    assert refusal({"QUEUEING_MAX_MESSAGE_TTL": "600"}) == (
        "default_message_ttl = 3600 (default): "
        "expected at most max_message_ttl = 600 (QUEUEING_MAX_MESSAGE_TTL)"
    )


def test_a_long_value_is_cut_so_that_the_line_stays_one() -> None:
    assert len(refusal({"QUEUEING_WORKERS": "x" * 10_000})) < 400
    assert len(refusal({"QUEUEING_WORKERS": "x\n" * 100})) < 400


def test_every_number_has_its_bounds_and_its_default_lies_within() -> None:
    for item in dataclasses.fields(Settings):
        if KINDS[item.name] in (int, float):
            assert item.metadata["least"] <= item.default <= item.metadata["most"], item.name


def test_every_setting_has_a_sentence() -> None:
    for item in dataclasses.fields(Settings):
        assert item.metadata["meaning"].endswith("."), item.name
