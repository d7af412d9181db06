"""HTTP/1.1 as a load generator needs it: requests as bytes, replies cut out of what has come so far."""

from __future__ import annotations

import re
from dataclasses import dataclass

from queueing.bench.plan import Target

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
_LOCATION = re.compile(rb"\r\nlocation:[ \t]*(\S+)", re.IGNORECASE)

UNSENT = -1
"""Status of a request that never left: it was certainly not carried out."""
UNANSWERED = 0
"""Status of a request that may have been carried out: the connection broke, or the time was up."""


class NotHttp(Exception):
    """What came is no HTTP/1.1 reply."""


@dataclass(slots=True)
class Reply:
    """`status` is one of HTTP, or `UNSENT`, `UNANSWERED`."""

    status: int
    head: bytes = b""
    body: bytes = b""

    @property
    def closes(self) -> bool:
        """The server closes the connection after it."""
        return _CLOSE.search(self.head) is not None

    @property
    def location(self) -> str:
        """The `Location` header; empty without."""
        found = _LOCATION.search(self.head)
        return found[1].decode("latin-1") if found else ""

    @property
    def unknown(self) -> bool:
        """Nobody can say whether the request was carried out."""
        return self.status == UNANSWERED or self.status >= 500


class Requests:
    """Requests to one server, by method and path, with the headers that all of them have."""

    def __init__(self, target: Target) -> None:
        host = f"[{target.host}]" if ":" in target.host else target.host
        lines = [
            f"Host: {host}:{target.port}",
            f"X-Project-ID: {target.project}",
            f"Client-ID: {target.client_id}",
            "Accept: application/json",
            *(f"{name}: {value}" for name, value in target.headers),
        ]
        self._prefix = target.prefix.encode("latin-1")
        self._headers = b" HTTP/1.1\r\n" + "".join(f"{line}\r\n" for line in lines).encode(
            "latin-1"
        )

    def __call__(self, method: bytes, path: bytes, body: bytes | None = None) -> bytes:
        """`path` begins with `/v2`, as the links of the server do."""
        head = method + b" " + self._prefix + path + self._headers
        if body is None:
            return head + b"\r\n"
        return b"%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            head,
            len(body),
            body,
        )


def cut(received: bytes) -> tuple[Reply, int] | None:
    """The reply that `received` begins with, and how long it is; None as long as it is not complete.

    :raises NotHttp: it is none
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        if len(received) > 65536 or not (
            received.startswith(b"HTTP/1.") or b"HTTP/1.".startswith(received)
        ):
            raise NotHttp(received[:80])
        return None
    head = received[: end + 2]
    try:
        status = int(head[9:12])
    except ValueError:
        raise NotHttp(head[:80]) from None
    if not head.startswith(b"HTTP/1."):
        raise NotHttp(head[:80])
    begin = end + 4
    if status < 200:  # there is more to come
        following = cut(received[begin:])
        return following and (following[0], begin + following[1])
    if status in (204, 304):
        return Reply(status, head), begin
    length = _LENGTH.search(head)
    if length:
        stop = begin + int(length[1])
        return (Reply(status, head, received[begin:stop]), stop) if len(received) >= stop else None
    if _CHUNKED.search(head):
        return _chunks(status, head, received, begin)
    raise NotHttp(b"neither Content-Length nor chunks: " + head[:80])


def _chunks(status: int, head: bytes, received: bytes, at: int) -> tuple[Reply, int] | None:
    parts: list[bytes] = []
    while True:
        line = received.find(b"\r\n", at)
        if line < 0:
            return None
        try:
            size = int(received[at:line].split(b";")[0], 16)
        except ValueError:
            raise NotHttp(received[at:line][:80]) from None
        stop = line + 2 + size
        if len(received) < stop + 2:
            return None
        if size == 0:
            return Reply(status, head, b"".join(parts)), stop + 2
        parts.append(received[line + 2 : stop])
        at = stop + 2
