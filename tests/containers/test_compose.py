"""The deployment that we ship, driven from outside. Needs docker and the images: `make test-containers`."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.containers.conftest import ON_MONGODB, ON_REDIS, PATIENCE_SECONDS, Deployment
from tests.docs.pages import ROOT
from tests.docs.test_examples import follow
from tests.support.server import COMMAND


def only(variant: tuple[str, str]) -> pytest.MarkDecorator:
    """What takes long, or makes sense on one of them."""
    return pytest.mark.parametrize("deployment", [variant], ids=[variant[1]], indirect=True)


def wait_until_it_serves(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if httpx.get(f"{url}/v2/ping", timeout=10).status_code == 204:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)


class Load:
    """`queueing bench --check` while something happens."""

    def __init__(self, url: str, folder: Path, seconds: float) -> None:
        self._figures = folder / "bench.json"
        self._process = subprocess.Popen(
            [*COMMAND, "bench", url, "--seconds", str(seconds), "--check", "--claim-ttl", "60",
             "--json", str(self._figures)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        time.sleep(2)  # let it begin

    def running(self) -> bool:
        return self._process.poll() is None

    def figures(self) -> dict[str, Any]:
        output, _ = self._process.communicate(timeout=PATIENCE_SECONDS)
        assert self._process.returncode == 0, output
        figures: dict[str, Any] = json.loads(self._figures.read_text())
        assert figures["check"]["lost"] == figures["check"]["doubled"] == 0
        assert figures["messages"]["posted"]["number"] > 0
        return figures


def test_the_readme_holds_through_the_balancer(deployment: Deployment) -> None:
    wait_until_it_serves(deployment.url)
    follow(ROOT / "README.md", deployment.url)


def test_three_nodes_serve_and_only_the_balancer_is_open(deployment: Deployment) -> None:
    assert len(deployment.containers("node")) == 3
    for service in ("node", deployment.store):
        for container in deployment.containers(service):
            ports = deployment.facts(container)["NetworkSettings"]["Ports"]
            assert not any(ports.values()), f"{service}: {ports}"


def test_a_request_has_one_name_in_the_answer_and_in_the_logs_of_balancer_and_node(
    deployment: Deployment,
) -> None:
    wait_until_it_serves(deployment.url)
    given = "mine-1", "not one name", None
    answers = [
        httpx.get(f"{deployment.url}/v2/queues", headers={"X-Request-ID": name} if name else {})
        for name in given
    ]
    names = [answer.headers["X-Request-ID"] for answer in answers]
    assert names[0] == "mine-1" and len(set(names)) == 3
    log = deployment.compose("logs", "--no-color")
    for name in names:
        assert f"{{{name}}}" in log
        assert re.search(rf'"request_id": ?"{name}"', log)


def test_nodes_are_not_root_and_cannot_write_their_files(deployment: Deployment) -> None:
    for container in deployment.containers("node"):
        assert deployment.docker("exec", container, "id", "-u").strip() == "10001"
        facts = deployment.facts(container)
        assert facts["HostConfig"]["ReadonlyRootfs"] is True


@only(ON_REDIS)
def test_restarting_all_nodes_one_after_the_other_fails_no_request(
    deployment: Deployment, tmp_path: Path
) -> None:
    wait_until_it_serves(deployment.url)
    load = Load(deployment.url, tmp_path, 60)
    for container in deployment.containers("node"):
        deployment.docker("restart", "--time", "45", container)
        deployment.wait_until_healthy(container)
        assert load.running(), "the load ended before the restarts did"
    assert load.figures()["errors"] == {}


@only(ON_REDIS)
def test_a_node_that_is_killed_loses_and_doubles_nothing(
    deployment: Deployment, tmp_path: Path
) -> None:
    wait_until_it_serves(deployment.url)
    load = Load(deployment.url, tmp_path, 20)
    victim = deployment.containers("node")[0]
    deployment.docker("kill", "--signal", "KILL", victim)
    time.sleep(2)
    assert load.running()
    deployment.docker("start", victim)
    load.figures()
    deployment.wait_until_healthy(victim)


def test_what_was_acknowledged_is_there_after_the_store_was_away(deployment: Deployment) -> None:
    """Redis gets SIGKILL. MongoDB gets SIGTERM: what stands for it in tests writes to disk in the end."""
    wait_until_it_serves(deployment.url)
    path = f"{deployment.url}/v2/queues/durable/messages"
    posted = httpx.post(path, json={"messages": [{"body": "kept"}]}, timeout=30)
    assert posted.status_code == 201
    [store] = deployment.containers(deployment.store)
    if deployment.store == "redis":
        deployment.docker("kill", "--signal", "KILL", store)
        deployment.docker("start", store)
    else:
        deployment.docker("restart", "--time", "45", store)
    wait_until_it_serves(deployment.url)
    listed = httpx.get(path, params={"echo": "true"}, timeout=30)
    assert [message["body"] for message in listed.json()["messages"]] == ["kept"]


@only(ON_MONGODB)
def test_mongodb_is_made_a_replica_set_and_not_again(deployment: Deployment) -> None:
    for _ in range(2):
        told = deployment.compose("run", "--rm", "prepare")
        assert "is ready (MongoDB" in told
        assert "of a majority of the replicas" in told
