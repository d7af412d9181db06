"""The compose files, up: as they are, but on a port and with volumes of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.docs.pages import ROOT

PATIENCE_SECONDS = 180

ON_REDIS = ("docker-compose.yml", "redis")
ON_MONGODB = ("docker-compose.mongodb.yml", "mongodb")
"""A compose file, and which of its services is the store."""


class Deployment:
    def __init__(self, file: str, store: str, port: int) -> None:
        self.file = file
        self.store = store  # the service that keeps what is posted
        self.project = f"queueing-test-{port}"
        self.url = f"http://127.0.0.1:{port}"
        self._environment = {**os.environ, "QUEUEING_PORT": str(port)}

    def compose(self, *arguments: str) -> str:
        return self._run("docker-compose", "-f", self.file, "-p", self.project, *arguments)

    def docker(self, *arguments: str) -> str:
        return self._run("docker", *arguments)

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "-q", service).split()

    def facts(self, container: str) -> dict[str, Any]:
        [facts] = json.loads(self.docker("inspect", container))
        assert isinstance(facts, dict)
        return facts

    def wait_until_healthy(self, container: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.facts(container)["State"]["Health"]["Status"] != "healthy":
            assert time.monotonic() < deadline, self.docker("logs", "--tail", "20", container)
            time.sleep(0.2)


@contextmanager
def up(file: str, store: str) -> Iterator[Deployment]:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    deployment = Deployment(file, store, port)
    try:
        deployment.compose("up", "-d", "--no-build")
        yield deployment
    finally:
        deployment.compose("down", "--volumes", "--timeout", "30")


@pytest.fixture(scope="session", params=[ON_REDIS, ON_MONGODB], ids=["redis", "mongodb"])
def deployment(request: pytest.FixtureRequest) -> Iterator[Deployment]:
    """Each in turn."""
    with up(*request.param) as deployment:
        yield deployment
