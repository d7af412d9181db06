"""Where a setting is read from: flag, then environment, then file, then default."""

from __future__ import annotations

from pathlib import Path

import pytest

from queueing import config
from queueing.config import ConfigError, Settings, effective, load, masked


@pytest.fixture(autouse=True)
def no_system_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What stands in for `/etc/queueing/queueing.toml`; it is not there until a test writes it."""
    file = tmp_path / "etc" / "queueing.toml"
    file.parent.mkdir()
    monkeypatch.setattr(config, "SYSTEM_FILE", file)
    return file


def written(directory: Path, text: str, name: str = "queueing.toml") -> str:
    file = directory / name
    file.write_text(text)
    return str(file)


def test_without_any_source_every_setting_has_its_default() -> None:
    settings, sources = load(environ={})
    assert settings == Settings()
    assert set(sources.values()) == {"default"}


def test_a_flag_comes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "workers = 1\nthreads = 2\nmax_claim_ttl = 600\n")
    environ = {"QUEUEING_WORKERS": "3", "QUEUEING_THREADS": "4"}
    settings, sources = load(file, environ=environ, flags={"workers": 5, "threads": None})
    assert (settings.workers, settings.threads, settings.max_claim_ttl) == (5, 4, 600)
    assert sources["workers"] == "--workers"
    assert sources["threads"] == "QUEUEING_THREADS"
    assert sources["max_claim_ttl"] == file
    assert sources["bind"] == "default"


def test_the_file_named_by_the_flag_comes_before_the_one_in_the_environment(tmp_path: Path) -> None:
    first, second = written(tmp_path, "workers = 1", "a"), written(tmp_path, "workers = 2", "b")
    assert load(first, environ={"QUEUEING_CONFIG": second}).settings.workers == 1
    assert load(environ={"QUEUEING_CONFIG": second}).settings.workers == 2


def test_the_file_of_the_system_is_read_when_no_other_is_named(
    tmp_path: Path, no_system_file: Path
) -> None:
    no_system_file.write_text("workers = 7\nthreads = 7\n")
    settings, sources = load(environ={})
    assert (settings.workers, sources["workers"]) == (7, str(no_system_file))
    other = written(tmp_path, "workers = 1")
    assert load(other, environ={}).settings.threads == Settings().threads


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("QUEUEING_STRICT_HEADERS", "true", True),
        ("QUEUEING_STRICT_HEADERS", "Yes", True),
        ("QUEUEING_ACCESS_LOG", "0", False),
        ("QUEUEING_ACCESS_LOG", "off", False),
        ("QUEUEING_MAX_MESSAGES_PER_PAGE", " 100 ", 100),
        ("QUEUEING_COLLECT_SECONDS", "0.5", 0.5),
        ("QUEUEING_COLLECT_SECONDS", "2", 2.0),
        ("QUEUEING_CORS_ALLOWED_ORIGINS", "https://a.example, https://b.example:8080",
         ("https://a.example", "https://b.example:8080")),
        ("QUEUEING_CORS_ALLOWED_ORIGINS", "", ()),
        ("QUEUEING_POLICY", '{"queues:create": "role:operator"}', {"queues:create": "role:operator"}),
        ("QUEUEING_MESSAGE_ENCRYPTION_KEY", "swordfish", "swordfish"),
        ("QUEUEING_MESSAGE_ENCRYPTION_KEY", "", None),
        ("QUEUEING_LOG_FORMAT", "json", "json"),
    ],
)  # fmt: skip
def test_a_variable_is_read_as_the_type_of_its_setting(
    variable: str, text: str, value: object
) -> None:
    name = variable.removeprefix("QUEUEING_").lower()
    assert getattr(load(environ={variable: text}).settings, name) == value


def test_every_setting_can_be_read_from_the_environment_under_its_own_name() -> None:
    texts = {"bool": "true", "str": "x"}
    for name, value in vars(Settings()).items():
        if isinstance(value, bool):
            text: str = texts["bool"]
        elif isinstance(value, tuple | dict):
            text = ""
        else:
            text = "" if value is None else str(value)
        sources = load(environ={f"QUEUEING_{name.upper()}": text}).sources
        assert sources[name] == f"QUEUEING_{name.upper()}"


def test_a_file_may_give_a_whole_number_where_a_fraction_is_possible(tmp_path: Path) -> None:
    settings = load(written(tmp_path, "collect_seconds = 2"), environ={}).settings
    assert settings.collect_seconds == 2.0
    assert isinstance(settings.collect_seconds, float)


def test_the_policy_is_a_table_in_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, '[policy]\n"queues:create" = "role:admin"\n')
    assert load(file, environ={}).settings.policy == {"queues:create": "role:admin"}


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("QUEUEING_TEST_MONGODB_URI", "mongodb://127.0.0.1"),
        ("QUEUEING_CONFIG", ""),
        # What Kubernetes gives to containers beside a Service named `queueing`.
        ("QUEUEING_SERVICE_HOST", "10.0.0.11"),
        ("QUEUEING_SERVICE_PORT", "8888"),
        ("QUEUEING_SERVICE_PORT_HTTP", "8888"),
        ("QUEUEING_PORT", "tcp://10.0.0.11:8888"),
        ("QUEUEING_PORT_8888_TCP", "tcp://10.0.0.11:8888"),
        ("QUEUEING_PORT_8888_TCP_PROTO", "tcp"),
        ("QUEUEING_PORT_8888_TCP_ADDR", "10.0.0.11"),
    ],
)
def test_a_variable_that_is_meant_for_others_is_left_alone(variable: str, text: str) -> None:
    assert load(environ={variable: text, "PATH": "/bin"}).settings == Settings()


def test_what_is_in_force_is_shown_with_its_source_and_without_secrets(tmp_path: Path) -> None:
    environ = {
        "QUEUEING_STORAGE": "redis://worker:swordfish@store:6379/0",
        "QUEUEING_MESSAGE_ENCRYPTION_KEY": "swordfish",
        "QUEUEING_MESSAGE_ENCRYPTION_FORMER_KEYS": "older swordfish, oldest swordfish",
    }
    rows = {name: rest for name, *rest in effective(load(environ=environ))}
    assert list(rows) == list(vars(Settings()))
    assert rows["storage"] == ['"redis://worker:***@store:6379/0"', "QUEUEING_STORAGE"]
    assert rows["message_encryption_key"] == ['"***"', "QUEUEING_MESSAGE_ENCRYPTION_KEY"]
    assert rows["message_encryption_former_keys"][0] == '["***", "***"]'
    assert rows["workers"] == ["0", "default"]
    assert "swordfish" not in str(rows)


def test_settings_do_not_show_secrets_when_they_are_printed() -> None:
    settings = Settings(storage="redis://:swordfish@store", message_encryption_key="swordfish")
    assert "swordfish" not in repr(settings)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:///queueing.db", "sqlite:///queueing.db"),
        ("redis://store:6379/0", "redis://store:6379/0"),
        ("redis://:swordfish@store:6379/0", "redis://:***@store:6379/0"),
        ("redis+sentinel://u:sword@fish@h1:1,h2:2/mymaster", "redis+sentinel://u:***@h1:1,h2:2/mymaster"),
        ("mongodb://u:swordfish@h1,h2/db?tlsCertificateKeyFilePassword=swordfish&w=1",
         "mongodb://u:***@h1,h2/db?tlsCertificateKeyFilePassword=***&w=1"),
        ("rediss://h?ssl_password=swordfish", "rediss://h?ssl_password=***"),
        ("redis:u:swordfish@h", "redis:u:***@h"),
        ("redis//u:swordfish@h", "redis//u:***@h"),
    ],
)  # fmt: skip
def test_passwords_in_a_uri_are_masked(uri: str, shown: str) -> None:
    assert masked(uri) == shown


def test_a_refusal_shows_no_secrets() -> None:
    for environ in (
        {"QUEUEING_STORAGE": "//u:swordfish@h"},
        {"QUEUEING_MESSAGE_ENCRYPTION_KEYS": "swordfish"},
        {"QUEUEING_REDIS_PASSWORD": "swordfish"},
        {"QUEUEING_STORAGE_URI": "redis://u:swordfish@h"},
    ):
        with pytest.raises(ConfigError) as refused:
            load(environ=environ)
        assert "swordfish" not in str(refused.value)
