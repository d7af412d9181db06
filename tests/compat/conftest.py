"""A server as python-zaqarclient wants it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.server import Server


@pytest.fixture(scope="session")
def server(web_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`queueing serve`, held to Zaqar's own rules."""
    directory = tmp_path_factory.mktemp("zaqar")
    with Server(directory, strict_headers="true", admin_mode="true", server=web_server) as server:
        yield server
