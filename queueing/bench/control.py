"""The few requests that are not load: make the queues, ask how full they are, take them away."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Any, Self

from queueing.bench.plan import Target


class Unusable(Exception):
    """The server does not answer, or not as one of the v2 API would; the text is for the user."""


class Control:
    """One connection to the server."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._connection = HTTPConnection(target.host, target.port, timeout=target.timeout_seconds)
        self._headers = {
            "X-Project-ID": target.project,
            "Client-ID": target.client_id,
            **dict(target.headers),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.close()

    def create(self, queue: str) -> None:
        self._ask("PUT", f"/v2/queues/{queue}", 201, 204)

    def delete(self, queue: str) -> None:
        self._ask("DELETE", f"/v2/queues/{queue}", 204)

    def size(self, queue: str) -> tuple[int, int]:
        """Messages that are free, and that are claimed."""
        messages = json.loads(self._ask("GET", f"/v2/queues/{queue}/stats", 200))["messages"]
        return messages["free"], messages["claimed"]

    def _ask(self, method: str, path: str, *expected: int) -> bytes:
        """:raises Unusable: no answer, or another than expected"""
        where = (
            f"{method} http://{self._target.host}:{self._target.port}{self._target.prefix}{path}"
        )
        try:
            self._connection.request(method, self._target.prefix + path, headers=self._headers)
            response = self._connection.getresponse()
            body: Any = response.read()
        except (OSError, HTTPException) as error:
            self._connection.close()
            raise Unusable(f"{where}: no answer: {error or type(error).__name__}") from None
        if response.status not in expected:
            wanted = " or ".join(map(str, expected))
            said = body[:200].decode(errors="replace")
            raise Unusable(f"{where}: expected {wanted}, got {response.status} {said}")
        return bytes(body)
