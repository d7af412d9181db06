"""Requests that are still arriving: what has come, and whether it is all.

gunicorn gives a thread to each connection from its first byte on. So that a client which takes its time
holds nothing but its connection, requests are gathered here first, and a thread gets what is whole. Only
where a request ends is looked at; what is wrong with it gunicorn says when it reads it.
"""

from __future__ import annotations

import re
import time
from typing import Final

LARGEST_HEAD: Final = 128 * 1024
"""Bytes of request line and headers together."""

SLOWEST: Final = 4096
"""Bytes per second that a body has to come with, on the whole; on top of the time for a pause."""

END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")
FRAMING: Final = re.compile(
    rb"^(content-length|transfer-encoding|expect)[ \t]*:[ \t]*([^\r\n]*?)[ \t]*\r?$",
    re.IGNORECASE | re.MULTILINE,
)
EXPECT: Final = re.compile(rb"(\n)expect", re.IGNORECASE)
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Arrival:
    """One request as it arrives. `largest_body`: longer ones are not gathered, they are refused anyway."""

    __slots__ = (
        "_at", "_largest_body", "_needs", "began", "bytes", "is_chunked", "is_too_large", "is_whole",
        "last", "owes_continue",
    )  # fmt: skip

    def __init__(self, largest_body: int) -> None:
        self.bytes = bytearray()
        self.began = self.last = time.monotonic()
        self.is_whole = False
        self.is_too_large = False
        self.owes_continue = False
        """The client waits to be told to go on."""
        self.is_chunked = False
        self._largest_body = largest_body
        self._needs: int | None = None  # bytes in all; None while the head is not whole
        self._at = 0  # where the next chunk begins

    def add(self, data: bytes) -> None:
        now = self.last = time.monotonic()
        if not self.bytes:
            self.began = now
            data = data.lstrip(b"\r\n")  # empty lines before a request mean nothing
        searched = max(0, len(self.bytes) - 3)
        self.bytes += data
        if self._needs is None and not self._end_head(searched):
            self.is_too_large = len(self.bytes) > LARGEST_HEAD
            return
        if self.is_chunked:
            self.is_whole = self._ends_chunks() or len(self.bytes) > self._largest_body
        else:
            assert self._needs is not None
            self.is_whole = len(self.bytes) >= self._needs

    def is_over_due(self, now: float, patience: float, idle: float) -> bool:
        """Whether it has taken too long: `patience` seconds for the head and for a pause in the body,
        `idle` seconds before it begins."""
        if not self.bytes:
            return now - self.last > idle
        if self._needs is None:
            return now - self.began > patience
        return now - self.last > patience or now - self.began > patience + len(self.bytes) / SLOWEST

    def _end_head(self, searched: int) -> bool:
        found = END_OF_HEAD.search(self.bytes, searched)
        if not found:
            return False
        head = self._needs = self._at = found.end()
        framing = FRAMING.findall(bytes(self.bytes[:head]))
        if not framing:
            return True
        named = {name.lower(): value for name, value in framing}
        if len(named) < len(framing):
            return True  # twice the same: refused
        length = named.get(b"content-length", b"")
        if b"transfer-encoding" in named:
            self.is_chunked = named[b"transfer-encoding"].lower() == b"chunked" and not length
        elif length.isdigit() and len(length) < 16 and int(length) <= self._largest_body:
            self._needs = head + int(length)
        expects = named.get(b"expect")
        if expects is not None:
            self._expect(expects, head)
        return True

    def _expect(self, expects: bytes, head: int) -> None:
        if expects.lower() != b"100-continue":
            self._needs, self.is_chunked = head, False  # refused
        elif self.is_chunked or self._needs != head:
            # Told by us, and so not once more by gunicorn: it sees a header that says nothing.
            self.bytes[:head] = EXPECT.sub(b"\\1X-Told", bytes(self.bytes[:head]))
            self.owes_continue = len(self.bytes) == head

    def _ends_chunks(self) -> bool:
        """Whether the last chunk is there; or something that is none, which is refused."""
        while True:
            end = self.bytes.find(b"\r\n", self._at)
            if end < 0:
                return len(self.bytes) - self._at > 1024
            try:
                size = int(bytes(self.bytes[self._at : end]).partition(b";")[0], 16)
            except ValueError:
                return True
            if size == 0:
                trailers = self.bytes[end : end + 4] == b"\r\n\r\n"
                return trailers or self.bytes.find(b"\r\n\r\n", end) >= 0
            if size < 0 or end + 2 + size + 2 > len(self.bytes):
                return size < 0 or size > self._largest_body
            self._at = end + 2 + size + 2
