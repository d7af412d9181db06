"""`queueing serve` starts with a line that helps, or not at all with a line that helps."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from queueing import __version__
from queueing.core.limits import Limits
from queueing.storage.registry import open_storage
from tests.support.server import DEADLINE, Server, environment, run

pytestmark = pytest.mark.usefixtures("web_server")


def typed(line: str) -> str:
    """What a shell prints when the line is typed."""
    done = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, timeout=DEADLINE, check=True
    )
    return done.stdout


def refused(directory: Path, *arguments: str, **settings: str) -> str:
    """The one line with which `queueing serve` gives up."""
    settings = {"bind": "127.0.0.1:0", **settings}
    done = run("serve", *arguments, directory=directory, **settings)
    assert done.stdout == ""
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("queueing: ")
    return line


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def test_the_first_line_says_where_it_listens_and_what_it_stores_in_and_how_durably(
    tmp_path: Path,
) -> None:
    with Server(tmp_path) as server:
        first, second, *_ = server.output().splitlines()
        assert first.startswith(
            f"queueing {__version__} listens on {server.url} and stores in {server.storage} ("
        )
        assert re.search(r" \(SQLite [0-9.]+\)\. What is acknowledged .+\.$", first)
        assert second.startswith("Try: curl ")


@pytest.mark.parametrize("strict", ["false", "true"])
@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"])
def test_the_second_line_can_be_typed_as_it_is(tmp_path: Path, bind: str, strict: str) -> None:
    with Server(tmp_path, bind=bind, strict_headers=strict) as server:
        line = server.output().splitlines()[1]
        answer = json.loads(typed(line.removeprefix("Try: ")))
        assert answer["resources"][0].startswith("/v2/queues/demo/messages/")


def test_flags_come_before_settings(tmp_path: Path) -> None:
    flags = ("--storage", f"sqlite:///{tmp_path / 'other.db'}", "--workers", "2", "--threads", "3")
    with Server(tmp_path, arguments=flags) as server:
        assert "other.db" in server.output()
        assert (tmp_path / "other.db").exists()
        assert not (tmp_path / "queueing.db").exists()
        # It answers as soon as the first worker is there.
        deadline = time.monotonic() + DEADLINE
        while len(children(server.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(children(server.pid)) == 2


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        assert refused(tmp_path, bind=bind) == (
            f"queueing: bind {bind}: Address already in use; another program listens there"
        )


def test_an_address_that_is_not_ours(tmp_path: Path) -> None:
    # 192.0.2.0/24 is for documentation: no machine has it.
    assert "Cannot assign requested address" in refused(tmp_path, bind="192.0.2.1:8888")


def test_a_host_that_does_not_exist(tmp_path: Path) -> None:
    assert "bind nowhere.invalid:8888: no such host" in refused(
        tmp_path, bind="nowhere.invalid:8888"
    )


def test_a_directory_that_is_missing(tmp_path: Path) -> None:
    line = refused(tmp_path, storage=f"sqlite:///{tmp_path / 'missing' / 'queueing.db'}")
    assert str(tmp_path / "missing") in line


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    line = refused(tmp_path, storage="sqlite:////proc/queueing.db")  # nobody makes a file there
    assert "/proc" in line


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear reader, this is no database. " * 100)
    assert str(file) in refused(tmp_path, storage=f"sqlite:///{file}")
    assert file.read_text().startswith("Dear reader")


def from_the_future(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version = 9999")
    database.close()


def test_a_database_from_the_future(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'queueing.db'}"
    open_storage(uri).close()
    from_the_future(tmp_path / "queueing.db")
    line = refused(tmp_path, storage=uri)
    assert "9999" in line
    assert "newer" in line


def test_a_storage_that_nobody_knows(tmp_path: Path) -> None:
    line = refused(tmp_path, storage="floppy://a/queueing")
    assert "floppy" in line
    assert "sqlite" in line


def test_a_policy_that_is_none(tmp_path: Path) -> None:
    assert "queues:fly" in refused(tmp_path, policy='{"queues:fly": "@"}')


def test_a_key_without_the_package_that_encrypts(tmp_path: Path) -> None:
    (tmp_path / "without" / "cryptography").mkdir(parents=True)
    missing = "raise ModuleNotFoundError(\"No module named 'cryptography'\", name='cryptography')\n"
    (tmp_path / "without" / "cryptography" / "__init__.py").write_text(missing)
    done = run(
        "serve",
        directory=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "without")},
        bind="127.0.0.1:0",
        message_encryption_key="swordfish",
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert "queueing[encryption]" in line
    assert "swordfish" not in line


def test_granian_without_its_package(tmp_path: Path) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "sitecustomize.py").write_text(
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *of: None if name == 'granian' else find(name, *of)\n"
    )
    env = {"PYTHONPATH": str(tmp_path / "without")}
    done = run("serve", "--server", "granian", directory=tmp_path, env=env, bind="127.0.0.1:0")
    assert done.returncode == 1
    assert done.stderr == (
        "queueing: server granian is not installed: pip install 'queueing[granian]'\n"
    )


def test_the_workers_of_granian_do_not_share_their_port_with_another_server(
    tmp_path: Path,
) -> None:
    two = {"server": "granian", "workers": "2"}
    with Server(tmp_path, **two) as server:
        bind = f"127.0.0.1:{server.port}"
        assert "another program listens there" in refused(tmp_path, bind=bind, **two)


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        (worker,) = children(server.pid)
        os.kill(worker, signal.SIGKILL)
        # The connection waits for the next worker, which this one can only have come from.
        deadline = time.monotonic() + DEADLINE
        while children(server.pid) in ([worker], []) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert httpx.get(f"{server.url}/", timeout=DEADLINE).status_code == 300
        server.stop()


def test_a_worker_that_cannot_start_ends_the_server_with_a_line(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        (worker,) = children(server.pid)
        before = len(server.output())
        from_the_future(tmp_path / "queueing.db")
        os.kill(worker, signal.SIGKILL)
        assert server.wait() == 1
        output = server.output()[before:]
        assert output.count("a worker process could not start") == 1
        assert "9999" in output
        assert "Traceback" not in output


def test_nothing_is_written_outside_the_directory_that_holds_the_store(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with Server(tmp_path, env={"HOME": str(home)}) as server:
        server.stop()
    assert list(home.iterdir()) == []
    assert {file.name.split("-")[0] for file in tmp_path.iterdir()} == {
        "home",
        "server.log",
        "queueing.db",
    }


def test_gunicorn_itself_serves_the_app_with_our_settings(tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [
            str(Path(sys.executable).parent / "gunicorn"),
            *("-c", str(root / "etc" / "gunicorn.conf.py"), "--bind", f"fd://{listener.fileno()}"),
            "queueing.wsgi:app",
        ],
        cwd=tmp_path,
        env=environment(workers="1", default_claim_ttl="77"),
        pass_fds=[listener.fileno()],
        start_new_session=True,
    )
    listener.close()
    try:
        url = f"http://127.0.0.1:{port}/v2/queues/demo"
        posted = httpx.post(f"{url}/messages", json={"messages": [{"body": 1}]}, timeout=DEADLINE)
        assert posted.status_code == 201
        claim = httpx.post(f"{url}/claims", timeout=DEADLINE)
        assert claim.status_code == 201
        found = httpx.get(f"http://127.0.0.1:{port}{claim.headers['Location']}", timeout=DEADLINE)
        assert found.json()["ttl"] == 77 != Limits().default_claim_ttl
        process.terminate()
        assert process.wait(DEADLINE) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_gunicorn_itself_refuses_a_setting_in_one_line(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "gunicorn"),
            *("-c", str(root / "etc" / "gunicorn.conf.py"), "queueing.wsgi:app"),
        ],
        cwd=tmp_path,
        env=environment(workers="many"),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "queueing: workers = 'many' (QUEUEING_WORKERS): expected a whole number from 0 to 1024\n"
    )
