"""A client for tests: httpx for requests as clients send them, a bare socket for those they should not."""

from __future__ import annotations

import json as jsonlib
import re
import socket
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

PATCH_TYPE = "application/openstack-messaging-v2.0-json-patch"
FORM_TYPE = "application/x-www-form-urlencoded"

API = "Invalid API request"
BODY = "Invalid request body"
PARAMETER = "Invalid parameter"
NAME = "Invalid queue identification"
DELETE = "Unable to delete"
NOT_FOUND = "Not found"
CONFLICT = "Resource conflict"

_ABSENT: Any = object()


def connect(url: str) -> httpx.Client:
    """A pool of connections to one server; many `Api`s share it."""
    # A bare transport: reading the machine's certificates takes longer than most tests.
    return httpx.Client(base_url=url, timeout=60, transport=httpx.HTTPTransport(verify=False))


class Api:
    """One client (`Client-ID`) of one project, and the routes by short names.

    Paths are given as they go onto the wire: percent-encoded, with their query.
    """

    def __init__(
        self,
        http: httpx.Client,
        *,
        project: str | None = None,
        client_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.http = http
        self.project = project or f"project-{uuid.uuid4().hex}"
        self.client_id = client_id or str(uuid.uuid4())
        self.headers = {
            "X-Project-ID": self.project,
            "Client-ID": self.client_id,
            **(headers or {}),
        }

    @property
    def url(self) -> str:
        return str(self.http.base_url).rstrip("/")

    def other_client(self, client_id: str | None = None) -> Api:
        """Another client of the same project."""
        return Api(self.http, project=self.project, client_id=client_id)

    def other_project(self, project: str | None = None) -> Api:
        """The same client in another project."""
        return Api(self.http, project=project, client_id=self.client_id)

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = _ABSENT,
        body: bytes | str | Iterable[bytes] | None = None,
        headers: Mapping[str, str | bytes | None] | None = None,
    ) -> httpx.Response:
        """Send one request. A header of None is left out, also one that `Api` sends by itself."""
        if json is not _ABSENT:
            body = jsonlib.dumps(json).encode()
        merged: dict[str, str | bytes | None] = {**self.headers, **(headers or {})}
        sent = [
            (name.encode(), value if isinstance(value, bytes) else value.encode("latin-1"))
            for name, value in merged.items()
            if value is not None
        ]
        return self.http.request(method, path, content=body, headers=sent)

    def get(self, path: str, **kw: Any) -> httpx.Response:
        return self.request("GET", path, **kw)

    def head(self, path: str, **kw: Any) -> httpx.Response:
        return self.request("HEAD", path, **kw)

    def put(self, path: str, **kw: Any) -> httpx.Response:
        return self.request("PUT", path, **kw)

    def post(self, path: str, **kw: Any) -> httpx.Response:
        return self.request("POST", path, **kw)

    def delete(self, path: str, **kw: Any) -> httpx.Response:
        return self.request("DELETE", path, **kw)

    def patch(self, path: str, **kw: Any) -> httpx.Response:
        return self.request("PATCH", path, **kw)

    def options(self, path: str, **kw: Any) -> httpx.Response:
        return self.request("OPTIONS", path, **kw)

    def create(self, queue: str, **metadata: Any) -> None:
        assert self.put(f"/v2/queues/{queue}", json=metadata).status_code == 201

    def metadata(self, queue: str) -> dict[str, Any]:
        return success(self.get(f"/v2/queues/{queue}"))

    def change(self, queue: str, changes: Any, **kw: Any) -> httpx.Response:
        """PATCH the metadata of a queue."""
        headers = {"Content-Type": PATCH_TYPE, **kw.pop("headers", {})}
        return self.patch(f"/v2/queues/{queue}", json=changes, headers=headers, **kw)

    def queue_names(self) -> list[str]:
        """All queues of the project, by following the links."""
        return [entry["name"] for page in self.pages("/v2/queues", "queues") for entry in page]

    def say(self, queue: str, *bodies: Any, **fields: Any) -> list[str]:
        """Post one message per body, each with these fields; their ids."""
        messages = [{"body": body, **fields} for body in bodies]
        posted = success(
            self.post(f"/v2/queues/{queue}/messages", json={"messages": messages}), 201
        )
        return [href.rsplit("/", 1)[1] for href in posted["resources"]]

    def listed(self, queue: str, query: str = "echo=true&limit=20") -> list[dict[str, Any]]:
        """One page of a queue's messages."""
        return success(self.get(f"/v2/queues/{queue}/messages?{query}"))["messages"]

    def bodies(self, queue: str, query: str = "echo=true&limit=20") -> list[Any]:
        return [message["body"] for message in self.listed(queue, query)]

    def claim(self, queue: str, *, limit: int | None = None, **terms: int) -> Claimed:
        """Claim; empty if there was nothing to claim."""
        query = "" if limit is None else f"?limit={limit}"
        return Claimed(self.post(f"/v2/queues/{queue}/claims{query}", json=terms))

    def pop(self, queue: str, count: int) -> list[dict[str, Any]]:
        return success(self.delete(f"/v2/queues/{queue}/messages?pop={count}"))["messages"]

    def stats(self, queue: str) -> dict[str, Any]:
        return success(self.get(f"/v2/queues/{queue}/stats"))["messages"]

    def counts(self, queue: str) -> tuple[int, int, int]:
        """Free, claimed and total messages of a queue."""
        stats = self.stats(queue)
        return stats["free"], stats["claimed"], stats["total"]

    def pages(self, path: str, items: str) -> list[list[dict[str, Any]]]:
        """Every page from `path` on, by following the links; the last is the empty one."""
        pages = []
        while True:
            answer = success(self.get(path))
            pages.append(answer[items])
            if not answer["links"]:
                return pages
            path = next_link(answer)


class Claimed:
    """The answer to a claim."""

    def __init__(self, response: httpx.Response) -> None:
        assert response.status_code in (201, 204), response.text
        self.response = response
        self.location = response.headers.get("Location", "")
        self.id = self.location.rsplit("/", 1)[-1]
        self.fence = int(response.headers.get("Claim-Fence", "0"))
        self.messages: list[dict[str, Any]] = (
            response.json()["messages"] if response.status_code == 201 else []
        )

    def __bool__(self) -> bool:
        return bool(self.messages)

    @property
    def bodies(self) -> list[Any]:
        return [message["body"] for message in self.messages]

    @property
    def message_ids(self) -> list[str]:
        return [message["id"] for message in self.messages]


def success(response: httpx.Response, status: int = 200) -> Any:
    """The JSON of an answer that must have this status."""
    assert response.status_code == status, f"{response.status_code}: {response.text}"
    assert response.headers["Content-Type"] == "application/json"
    return response.json()


def empty(response: httpx.Response, status: int = 204) -> httpx.Response:
    """An answer that must have this status, no body, and hence no type of one."""
    assert response.status_code == status, f"{response.status_code}: {response.text}"
    assert response.content == b""
    if status == 204:
        assert "Content-Type" not in response.headers
    return response


def refused(response: httpx.Response, status: int, title: str, fragment: str = "") -> str:
    """The description of a refusal, which must have this status and title."""
    assert response.status_code == status, f"{response.status_code}: {response.text}"
    assert response.headers["Content-Type"] == "application/json"
    error = response.json()
    assert error["title"] == title, error
    description = error.get("description", "")
    assert isinstance(description, str)
    assert fragment in description
    if status not in (404, 405):
        assert description, "an error says what was wrong"
    return str(description)


def next_link(listing: Mapping[str, Any]) -> str:
    """The one link of a page that is not empty."""
    [link] = listing["links"]
    assert link["rel"] == "next"
    assert link["href"].startswith("/v2/")
    return str(link["href"])


@dataclass(frozen=True)
class Answer:
    """One answer as it came over the wire."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(found) <= 1, f"{name} came {len(found)} times"
        return found[0] if found else None

    def json(self) -> Any:
        return jsonlib.loads(self.body)

    @property
    def closes(self) -> bool:
        return (self.header("Connection") or "").lower() == "close"


class Wire:
    """One TCP connection, spoken byte by byte."""

    def __init__(self, url: str, timeout: float = 60) -> None:
        address = urlsplit(url)
        self.host = address.netloc
        self._socket = socket.create_connection((address.hostname, address.port), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = self._socket.makefile("rb")

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send; a server that has closed its end already is found out when its answer is read."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def end(self) -> None:
        """Say that nothing more will be sent."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def answer(self, method: str = "GET") -> Answer | None:
        """Read one answer; None if the server closed the connection without one.

        :raises TimeoutError: the server hangs
        """
        try:
            return self._read(method)
        except ConnectionResetError:
            return None

    def _read(self, method: str) -> Answer | None:
        line = self._reader.readline()
        if not line:
            return None
        match = re.fullmatch(rb"HTTP/1\.[01] ([1-5]\d\d)( [ -~]*)?\r\n", line)
        assert match, f"not a status line: {line!r}"
        status = int(match[1])
        headers = []
        while (line := self._reader.readline()) != b"\r\n":
            name, colon, value = line.decode("latin-1").partition(":")
            assert colon, f"not a header: {line!r}"
            headers.append((name, value.strip()))
        answer = Answer(status, tuple(headers), b"")
        if status == 100:
            return self._read(method)
        if method == "HEAD" or status in (204, 304):
            return answer
        length = answer.header("Content-Length")
        body = self._reader.read(int(length)) if length is not None else self._reader.read()
        assert length is None or len(body) == int(length), "the answer was cut off"
        return Answer(status, tuple(headers), body)

    def ask(self, data: bytes, method: str = "GET") -> Answer | None:
        self.send(data)
        return self.answer(method)


def request_bytes(
    method: str | bytes,
    target: str | bytes,
    headers: Iterable[tuple[str | bytes, str | bytes]] = (),
    body: bytes | None = None,
    *,
    version: bytes = b"HTTP/1.1",
) -> bytes:
    """A request as text; `Content-Length` is added if a body is given, `Host` always."""
    lines = [b" ".join((_bytes(method), _bytes(target), version)), b"Host: queueing.test"]
    lines += [_bytes(name) + b": " + _bytes(value) for name, value in headers]
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def chunked(*pieces: bytes) -> bytes:
    """A body in chunks, with the final one."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")
