"""Reading the bytes of a request's body, never more of them than it may have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from queueing.api.request import Request
from queueing.core.errors import BODY, InvalidRequest, OverLimit
from queueing.core.rules import quoted

SMALL = 64 * 1024
"""Bytes of the bodies that no setting bounds: claims, purges."""

_DROPPED = 1024 * 1024  # bytes; who sends more than that in vain loses the connection
_PIECE = 64 * 1024


def read(req: Request, limit: int) -> bytes:
    """The body, empty if there is none; of known length or chunked.

    :raises OverLimit: titled API; it is longer than `limit` bytes. Not read then
    :raises InvalidRequest: titled BODY; it ended early, or its announced length is no length
    """
    env = req.env
    announced = env.get("CONTENT_LENGTH")
    if not announced:  # chunked, or no body; a server that ends the stream tells which
        body = _read(env, limit + 1) if env.get("wsgi.input_terminated") else b""
        if len(body) > limit:
            raise OverLimit(f"The body may not exceed {limit} bytes. Got more.")
        return body
    size = _length(announced)
    if size > limit:
        raise OverLimit(f"The body may not exceed {limit} bytes. Got {announced} bytes.")
    body = _read(env, size)
    if len(body) < size:
        raise InvalidRequest(
            f"The body could not be read: expected {size} bytes. Got {len(body)}.", BODY
        )
    return body


class ThenDrop:
    """An answer; once it is sent, the rest of the request's body is read and dropped.

    So the connection can serve the next request, while a client that announced a body and does
    not send it has its answer. Servers that call `close` before they send lose only the latter.
    """

    def __init__(self, answer: bytes, env: Mapping[str, Any]) -> None:
        self._answer = answer
        self._env = env

    def __iter__(self) -> Iterator[bytes]:
        yield self._answer

    def close(self) -> None:
        left = _DROPPED
        try:
            while left > 0 and (piece := _piece(self._env, min(left, _PIECE))):
                left -= len(piece)
        except InvalidRequest:
            return  # it broke off: the server closes the connection


def may_be_left(env: Mapping[str, Any]) -> bool:
    """Whether a request that was refused may have a body left that is worth reading.

    Only where the server ends the stream: elsewhere reading would block.
    """
    if not env.get("wsgi.input_terminated"):
        return False
    announced = env.get("CONTENT_LENGTH")
    if not announced:
        return "HTTP_TRANSFER_ENCODING" in env
    return announced.isdigit() and len(announced) < 8 and 0 < int(announced) <= _DROPPED


def _length(announced: str) -> int:
    if announced.isascii() and announced.isdigit():
        if len(announced) < 20:
            return int(announced)
        # Beyond every limit, unless it is zeros; and int() refuses thousands of digits.
        return int(announced.lstrip("0")[:20] or "0")
    raise InvalidRequest(
        f"Content-Length must be a number of bytes. Got {quoted(announced)}.", BODY
    )


def _read(env: Mapping[str, Any], size: int) -> bytes:
    first = _piece(env, size)
    if len(first) >= size or not first:
        return first
    pieces = [first]  # a server may hand out what it has got so far
    size -= len(first)
    while size > 0:
        piece = _piece(env, size)
        if not piece:
            break
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _piece(env: Mapping[str, Any], size: int) -> bytes:
    try:
        piece: bytes = env["wsgi.input"].read(size)
    # What a server raises for broken chunks or a client that went away is its own affair, and
    # in each case the body is not one: there is no narrower class to name.
    except Exception as error:
        raise InvalidRequest("The body could not be read: it ended early.", BODY) from error
    return piece
