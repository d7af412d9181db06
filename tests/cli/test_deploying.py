"""`queueing prepare` makes a store ready or says why not; `queueing ping` says whether a node serves."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from queueing.storage.contract import Storage
from queueing.storage.mongodb import replica_set
from tests.support.engines import mongodb
from tests.support.server import COMMAND, DEADLINE, Server, environment, run


def test_a_store_is_made_ready_and_again(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'queueing.db'}"
    for _ in range(2):
        done = run("prepare", "--storage", uri, directory=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"{uri} is ready (SQLite ")
    assert (tmp_path / "queueing.db").exists()


def test_every_store_is_made_ready(storage: Storage, storage_uri: str, tmp_path: Path) -> None:
    done = run("prepare", directory=tmp_path, storage=storage_uri)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(storage.durability()["promise"]) in done.stdout


def test_servers_of_mongodb_become_a_replica_set_once(tmp_path: Path) -> None:
    with mongodb.running(mongodb.Process(tmp_path / "mongo", replica_set="rs0")) as server:
        uri = f"{server.uri}/queueing?replicaSet=rs0"
        for _ in range(2):
            done = run("prepare", "--initiate", "--storage", uri, directory=tmp_path)
            assert (done.returncode, done.stderr) == (0, "")
            assert "of a majority of the replicas" in done.stdout
        other = run("prepare", "--initiate", "--storage", f"{uri}1", directory=tmp_path)
        assert other.returncode == 1
        assert "option 'replicaSet' expects rs0, got rs01" in other.stderr


def test_a_server_that_cannot_be_a_replica_set_is_not_made_one(tmp_path: Path) -> None:
    with mongodb.running(mongodb.Process(tmp_path / "mongo")) as server:
        uri = f"{server.uri}/queueing?replicaSet=rs0"
        done = run("prepare", "--initiate", "--storage", uri, directory=tmp_path)
        assert done.returncode == 1
        assert "runs without --replSet" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "uri",
    ["sqlite:///q.db", "mongodb://localhost/queueing", "mongodb+srv://a.example/?replicaSet=r"],
)
def test_what_names_no_replica_set_is_not_made_one(tmp_path: Path, uri: str) -> None:
    done = run("prepare", "--initiate", "--storage", uri, directory=tmp_path)
    assert done.returncode == 1
    assert "to initiate a replica set" in done.stderr


@pytest.mark.parametrize(
    ("uri", "members", "alone"),
    [
        ("mongodb://a/q?replicaSet=r", ["a:27017"], "mongodb://a:27017/q?"),
        (
            "mongodb://u:p%40@a:1,[::1]:2,[::1]/?tls=true&replicaset=r&w=1",
            ["a:1", "[::1]:2", "[::1]:27017"],
            "mongodb://u:p%40@a:1/?tls=true&w=1",
        ),
    ],
)
def test_all_hosts_of_the_uri_are_members_and_the_first_is_asked(
    uri: str, members: list[str], alone: str
) -> None:
    assert replica_set.wanted(uri) == ("r", members, alone)


def unused_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def test_a_store_that_is_away_is_an_error_in_one_line(tmp_path: Path) -> None:
    uri = f"redis://127.0.0.1:{unused_port()}/0"
    done = run("prepare", "--storage", uri, directory=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr


def test_waiting_for_a_store_ends_in_time_or_when_told(tmp_path: Path) -> None:
    uri = f"redis://127.0.0.1:{unused_port()}/0"
    done = run("prepare", "--storage", uri, "--wait", "1", directory=tmp_path)
    assert done.returncode == 1
    assert f"waiting for {uri}" in done.stderr
    process = subprocess.Popen(
        [*COMMAND, "prepare", "--storage", uri, "--wait", "1000"],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    with process, process.stderr:
        assert "waiting for" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 143


def test_a_store_that_comes_is_waited_for(tmp_path: Path) -> None:
    port = unused_port()
    uri = f"redis://127.0.0.1:{port}/0"
    waiting = subprocess.Popen(
        [*COMMAND, "prepare", "--storage", uri, "--wait", str(DEADLINE)],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiting.stderr and waiting.stdout
    with waiting:
        assert "waiting for" in waiting.stderr.readline()
        store = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
        )
        try:
            assert "is ready (Redis" in waiting.stdout.readline()
            assert waiting.wait(DEADLINE) == 0
        finally:
            store.terminate()
            store.wait(DEADLINE)


def test_a_node_that_serves_is_told_from_one_that_does_not(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        address = server.url.removeprefix("http://")
        for done in (
            run("ping", server.url, directory=tmp_path),
            run("ping", address, directory=tmp_path),
            run("ping", directory=tmp_path, bind=address),
            run("ping", directory=tmp_path, bind=f"0.0.0.0:{server.port}"),
        ):
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.endswith(" serves\n")
        url = server.url
    done = run("ping", url, directory=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"queueing: {url} does not answer: ")
    assert done.stderr.count("\n") == 1


def test_a_node_that_does_not_answer_in_time_does_not_serve(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        begin = time.monotonic()
        done = run(
            "ping", f"127.0.0.1:{mute.getsockname()[1]}", "--timeout", "0.5", directory=tmp_path
        )
        assert done.returncode == 1
        assert "does not answer" in done.stderr
        assert time.monotonic() - begin < DEADLINE


def test_a_node_whose_store_is_away_does_not_serve(tmp_path: Path) -> None:
    port = unused_port()
    store = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    try:
        uri = f"redis://127.0.0.1:{port}/0"
        assert run("prepare", "--storage", uri, "--wait", "60", directory=tmp_path).returncode == 0
        with Server(tmp_path, storage=uri) as server:
            assert run("ping", server.url, directory=tmp_path).returncode == 0
            store.terminate()
            store.wait(DEADLINE)
            done = run("ping", server.url, "--timeout", "30", directory=tmp_path)
            assert done.returncode == 1
            assert "answers 503" in done.stderr
    finally:
        store.kill()
        store.wait(DEADLINE)


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://x:y"])
def test_a_url_that_is_none_is_wrong_usage(url: str, tmp_path: Path) -> None:
    done = run("ping", url, directory=tmp_path)
    assert done.returncode == 2
    assert "URL" in done.stderr
