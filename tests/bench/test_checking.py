"""`queueing bench --check` finds what a server did wrong, and nothing where it did nothing wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bench.faulty import Faulty
from tests.support.server import COMMAND, DEADLINE, Server, environment, run

SMALL = ("--messages", "300", "--producers", "2", "--workers", "2", "--processes", "2")


def bench(url: str, directory: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, figures, and what a human reads."""
    done = run("bench", url, *arguments, "--json", "-", directory=directory)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        SMALL,
        (*SMALL, "--batch", "7", "--claim", "20", "--finish", "bulk", "--queues", "3"),
        ("--messages", "300", "--cyclers", "3", "--batch", "10", "--size", "2000"),
        (*SMALL, "--depth", "100", "--claimed", "50", "--observers", "2"),
    ],
)
def test_every_message_of_our_own_server_is_delivered_exactly_once(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    with Server(tmp_path, strict_headers="true") as server:
        code, figures, text = bench(server.url, tmp_path, *arguments, "--check")
        assert code == 0, text
        depth = figures["plan"]["depth"]
        check = figures["check"]
        assert check["acknowledged"] == check["delivered"] == 300 + depth
        assert check["ok"] and check["complete"]
        assert check["lost"] == check["doubled"] == check["disorder"] == 0
        assert figures["messages"]["posted"]["number"] == 300
        assert figures["errors"] == {}
        assert "0 lost, 0 doubled" in text
        left = httpx.get(
            f"{server.url}/v2/queues",
            headers={"X-Project-ID": "bench", "Client-ID": "0" * 32},
            timeout=DEADLINE,
        )
        assert left.json()["queues"] == [], "the queues of a run go with it"


def test_a_server_that_does_as_it_should_is_not_accused(tmp_path: Path) -> None:
    with Faulty() as server:
        code, figures, text = bench(server.url, tmp_path, *SMALL, "--observers", "1", "--check")
    assert code == 0, text
    assert figures["check"]["delivered"] == 300


def test_lost_messages_are_found(tmp_path: Path) -> None:
    with Faulty(loses=10) as server:
        code, figures, text = bench(server.url, tmp_path, *SMALL, "--check")
    assert code == 1
    assert figures["check"]["lost"] == 30
    assert figures["check"]["delivered"] == 270
    assert "30 lost, 0 doubled" in text
    assert ": lost" in figures["check"]["examples"][0]


@pytest.mark.parametrize("finish", ["each", "bulk"])
def test_doubled_messages_are_found(tmp_path: Path, finish: str) -> None:
    with Faulty(doubles=20) as server:
        code, figures, text = bench(server.url, tmp_path, *SMALL, "--check", "--finish", finish)
    assert code == 1
    assert figures["check"]["doubled"] == 15
    assert figures["check"]["lost"] == 0
    assert "0 lost, 15 doubled" in text


def test_messages_that_were_refused_and_come_nevertheless_are_found(tmp_path: Path) -> None:
    with Faulty(refuses=30) as server:
        code, figures, _ = bench(server.url, tmp_path, *SMALL, "--check")
    assert code == 1
    assert figures["check"]["phantoms"] == 10
    assert figures["errors"] == {"post: 400": 10}


def test_an_order_that_changes_is_found(tmp_path: Path) -> None:
    with Faulty(swaps=50) as server:
        code, figures, _ = bench(
            server.url, tmp_path, "--messages", "300", "--producers", "1", "--observers", "1", "--check"
        )  # fmt: skip
    assert code == 1
    assert figures["check"]["disorder"] > 0


@pytest.mark.parametrize(
    ("fault", "error"), [({"fails": 30}, "post: 503"), ({"hangs_up": 30}, "post: no answer")]
)
def test_posts_of_unknown_outcome_are_judged_apart(
    tmp_path: Path, fault: dict[str, int], error: str
) -> None:
    with Faulty(**fault) as server:
        code, figures, text = bench(server.url, tmp_path, *SMALL, "--check")
    assert code == 0, text
    assert figures["errors"] == {error: 10}
    check = figures["check"]
    assert (check["post_unknown"], check["post_unknown_delivered"]) == (10, 5)
    assert (check["acknowledged"], check["delivered"]) == (290, 290)


def test_deletes_of_unknown_outcome_prove_no_loss(tmp_path: Path) -> None:
    with Faulty(hangs_up_on_deletes=50) as server:
        code, figures, text = bench(server.url, tmp_path, *SMALL, "--check")
    assert code == 0, text
    check = figures["check"]
    assert check["delete_unknown"] == 6
    assert (check["acknowledged"], check["delivered"], check["lost"]) == (300, 294, 0)


def test_the_project_the_client_and_further_headers_are_sent(tmp_path: Path) -> None:
    client = "12345678123456781234567812345678"
    with Faulty() as server:
        code, figures, _ = bench(
            server.url, tmp_path, *SMALL, "--project", "p", "--client-id", client, "--header",
            "X-Auth-Token: secret", "--queue", "mine",
        )  # fmt: skip
    assert code == 0
    assert server.headers == {("p", client, "secret")}
    assert "secret" not in json.dumps(figures)
    assert (server.created, server.deleted) == (["mine"], []), "a queue with a name is kept"


def test_nobody_there_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    with Faulty() as server:
        url = server.url
    done = run("bench", url, directory=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "no answer" in done.stderr


def test_messages_that_cannot_be_claimed_before_the_load_end_the_run(tmp_path: Path) -> None:
    with Faulty(loses=2) as server:
        done = run("bench", server.url, "--claimed", "40", "--messages", "10", directory=tmp_path)
    assert done.returncode == 1
    assert done.stderr == ("queueing: 40 messages were to be claimed before the load, 35 are\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_ctrl_c_and_sigterm_end_it_with_what_was_measured_so_far(
    tmp_path: Path, number: int, send: Callable[[int, int], None]
) -> None:
    with Faulty() as server:
        process = subprocess.Popen(
            [*COMMAND, "bench", server.url, "--seconds", "600", "--check"],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        deadline = time.monotonic() + DEADLINE
        while server.claims < 20 and time.monotonic() < deadline:
            time.sleep(0.02)
        send(process.pid, number)
        printed, complaints = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130, complaints
    assert complaints == ""
    assert "Interrupted after" in printed
    assert "0 lost, 0 doubled" in printed
    assert len(server.deleted) >= 1, "its queue is taken away"
