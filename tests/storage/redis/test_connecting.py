"""All ways to reach a Redis, and what an open store says about it."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from queueing.core.clock import ManualClock
from queueing.core.errors import SetupError, StorageUnavailable
from queueing.core.models import QueueRef
from queueing.storage.registry import open_storage
from tests.contract.subject import Subject, bodies
from tests.support.engines.redis import Process, free_port, running, talk

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and a certificate of its own for `localhost` and 127.0.0.1."""
    home = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=home, check=True, capture_output=True)

    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(*new, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=authority", "-days", "2")
    signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-days", "2")
    names = ("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    openssl(
        *new, "-keyout", "own.key", "-out", "own.crt", "-subj", "/CN=localhost", *names, *signed
    )
    return home


@pytest.fixture
def encrypted(tmp_path: Path, certificates: Path) -> Iterator[tuple[int, Path]]:
    """A port where only TLS is spoken, with clients that show a certificate."""
    port = free_port()
    files = (
        "--tls-cert-file",
        "own.crt",
        "--tls-key-file",
        "own.key",
        "--tls-ca-cert-file",
        "ca.crt",
    )
    absolute = tuple(str(certificates / it) if "." in it else it for it in files)
    arguments = ("--tls-port", str(port), *absolute)
    with running(Process(tmp_path / "redis", arguments)):
        yield port, certificates


def works(uri: str, clock: ManualClock) -> bool:
    storage = open_storage(uri, timeout_seconds=10)
    q = Subject(storage, QueueRef("project", "q"), clock)
    q.post(b"a")
    popped = bodies(q.pop())
    storage.close()
    return popped == [b"a"]


def test_tls_with_an_authority_and_a_clients_certificate(
    encrypted: tuple[int, Path], clock: ManualClock
) -> None:
    port, files = encrypted
    own = f"ssl_certfile={files}/own.crt&ssl_keyfile={files}/own.key"
    assert works(f"rediss://{HOST}:{port}?ssl_ca_certs={files}/ca.crt&{own}", clock)
    assert works(f"rediss://localhost:{port}?ssl_ca_certs={files}/ca.crt&{own}", clock)


def test_tls_trusts_nobody_whom_the_authority_did_not_sign(encrypted: tuple[int, Path]) -> None:
    port, files = encrypted
    own = f"ssl_certfile={files}/own.crt&ssl_keyfile={files}/own.key"
    storage = open_storage(f"rediss://{HOST}:{port}?{own}", timeout_seconds=1)
    with pytest.raises(StorageUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        storage.ping()
    storage.close()


def test_an_account_with_a_password(server: Process, clock: ManualClock) -> None:
    server.command("ACL", "SETUSER", "app", "on", ">p@ss", "~*", "+@all")
    assert works(f"redis://app:p%40ss@{HOST}:{server.port}", clock)


def test_an_account_that_may_only_do_what_is_needed(server: Process, clock: ManualClock) -> None:
    """What the documentation tells to allow."""
    allowed = (
        "~q:*",
        "&q:*",
        "+@read",
        "+@write",
        "+@scripting",
        "+@connection",
        "+@pubsub",
        "+info",
        "+time",
        "+wait",
    )
    server.command("ACL", "SETUSER", "least", "on", ">secret", *allowed)
    assert works(f"redis://least:secret@{HOST}:{server.port}", clock)
    storage = open_storage(f"redis://least:secret@{HOST}:{server.port}", timeout_seconds=10)
    assert storage.durability()["appendfsync"] == "unknown"
    assert storage.durability()["maxmemory-policy"] == "noeviction"
    storage.close()


def test_a_socket_of_the_file_system(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "redis.sock"
    with running(Process(tmp_path / "redis", ("--unixsocket", str(path)))) as process:
        assert works(f"unix://{path}?db=2", clock)
        assert process.command("INFO", "stats")["total_connections_received"] > 0


def test_a_database_of_its_own(server: Process, clock: ManualClock) -> None:
    one, other = (open_storage(f"{server.uri}/{db}", timeout_seconds=10) for db in (3, 4))
    ref = QueueRef("project", "q")
    Subject(one, ref, clock).post(b"a")
    assert Subject(other, ref, clock).everything() == []
    assert bodies(Subject(one, ref, clock).everything()) == [b"a"]
    one.close()
    other.close()


def test_a_namespace_of_its_own(server: Process, clock: ManualClock) -> None:
    one, other = (
        open_storage(f"{server.uri}?namespace={name}", timeout_seconds=10) for name in ("a", "b")
    )
    ref = QueueRef("project", "q")
    Subject(one, ref, clock).post(b"a")
    assert Subject(other, ref, clock).everything() == []
    assert other.queues.count("project") == 0
    with talk(server.port) as client:
        assert list(client.scan_iter("a:*")) and not list(client.scan_iter("b:names*"))
    one.close()
    other.close()


def test_what_decides_what_can_be_lost_is_told(tmp_path: Path) -> None:
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    with running(Process(tmp_path / "redis", durable)) as process:
        storage = open_storage(process.uri, timeout_seconds=10)
        facts = storage.durability()
        assert str(facts["engine"]).startswith(("Redis ", "Valkey "))
        assert "survives" in str(facts["promise"])
        assert facts["role"] == "master"
        assert facts["appendonly"] == "yes"
        assert facts["appendfsync"] == "always"
        assert facts["maxmemory-policy"] == "noeviction"
        assert "warning" not in facts
        for setting, value, said in [
            ("appendfsync", "everysec", "last second or two"),
            ("appendfsync", "no", "not on disk"),
            ("appendonly", "no", "since its last snapshot"),
        ]:
            process.command("CONFIG", "SET", setting, value)
            assert said in str(storage.durability()["promise"])
        storage.close()


def test_a_server_that_may_throw_messages_away_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(Process(tmp_path / "redis", ("--maxmemory-policy", "allkeys-lru"))) as process:
        storage = open_storage(process.uri, timeout_seconds=10)
        (warning,) = [it.message for it in caplog.records if it.levelno == logging.WARNING]
        assert "allkeys-lru" in warning and "noeviction" in warning
        assert "allkeys-lru" in str(storage.durability()["warning"])
        storage.close()


def test_more_replicas_asked_for_than_there_are_is_warned_about(
    server: Process, caplog: pytest.LogCaptureFixture
) -> None:
    open_storage(f"{server.uri}?min_replicas=2", timeout_seconds=10).close()
    (warning,) = [it.message for it in caplog.records if it.levelno == logging.WARNING]
    assert "min_replicas is 2" in warning


def test_options_that_make_no_sense_are_refused(server: Process) -> None:
    with pytest.raises(SetupError, match="'retries' is not known"):
        open_storage(f"{server.uri}?retries=1", timeout_seconds=10)


def test_closing_twice_is_fine(server: Process) -> None:
    storage = open_storage(server.uri, timeout_seconds=10)
    storage.ping()
    storage.close()
    storage.close()
