"""Reading a body: never more than allowed, and what a stream may do."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueing.api import body
from queueing.api.request import Request
from queueing.core.errors import API, BODY, InvalidRequest


class Trickle(io.BytesIO):
    """Hands out a byte or two at a time, as a stream may; counts what was taken."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(min(2, size if size is not None and size >= 0 else 2))
        self.taken += len(piece)
        return piece


class Broken(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise ConnectionResetError("gone")


def request(stream: io.BytesIO, length: str | None, *, ends: bool = True, **more: Any) -> Request:
    env = {
        "wsgi.input": stream,
        "wsgi.errors": sys.stderr,
        "wsgi.input_terminated": ends,
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        **more,
    }
    if length is not None:
        env["CONTENT_LENGTH"] = length
    return Request(env)


@given(st.binary(max_size=50), st.integers(0, 60), st.booleans())
def test_a_body_comes_whole_or_is_refused_and_nothing_behind_it_is_read(
    content: bytes, limit: int, chunked: bool
) -> None:
    stream = Trickle(content if chunked else content + b"the next request")
    req = request(stream, None if chunked else str(len(content)))
    if len(content) <= limit:
        assert body.read(req, limit) == content
        assert stream.taken == len(content)
    else:
        with pytest.raises(InvalidRequest, match=f"{limit} bytes") as caught:
            body.read(req, limit)
        assert caught.value.title == API
        assert stream.taken <= limit + 1


def test_a_body_without_length_is_not_waited_for_where_the_stream_has_no_end() -> None:
    stream = Trickle(b"the next request")
    assert body.read(request(stream, None, ends=False), 100) == b""
    assert stream.taken == 0


def test_a_body_that_ends_early_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"expected 10 bytes. Got 3\.") as caught:
        body.read(request(Trickle(b"abc"), "10"), 100)
    assert caught.value.title == BODY


@pytest.mark.parametrize("length", ["10", None])
def test_a_stream_that_breaks_is_the_clients_error(length: str | None) -> None:
    with pytest.raises(InvalidRequest, match="could not be read") as caught:
        body.read(request(Broken(), length), 100)
    assert caught.value.title == BODY


@pytest.mark.parametrize("length", ["x", "-1", "+1", "1.0", "1_0", " 1", "²", "0x1", "1,1"])
def test_a_length_that_is_none_is_refused(length: str) -> None:
    with pytest.raises(InvalidRequest, match="Content-Length must be a number") as caught:
        body.read(request(Trickle(b"abc"), length), 100)
    assert caught.value.title == BODY


@pytest.mark.parametrize("length", ["101", "9" * 50, "9" * 5000, "0" * 50 + "101"])
def test_an_announced_body_that_is_too_long_is_not_read(length: str) -> None:
    stream = Trickle(b"abc")
    with pytest.raises(InvalidRequest, match="may not exceed 100 bytes"):
        body.read(request(stream, length), 100)
    assert stream.taken == 0


def test_zeros_before_a_length_mean_nothing() -> None:
    assert body.read(request(Trickle(b"abc"), "0" * 50 + "3"), 100) == b"abc"


def test_what_was_not_read_is_dropped_once_the_answer_is_sent() -> None:
    stream = io.BytesIO(b"x" * 500_000)
    req = request(stream, "500000")
    assert body.may_be_left(req.env)
    answer = body.ThenDrop(b"no", req.env)
    assert list(answer) == [b"no"]
    assert stream.tell() == 0
    answer.close()
    assert stream.tell() == 500_000


def test_dropping_has_an_end() -> None:
    stream = io.BytesIO(b"x" * 5_000_000)
    req = request(stream, None, HTTP_TRANSFER_ENCODING="chunked")
    assert body.may_be_left(req.env)
    body.ThenDrop(b"no", req.env).close()
    assert stream.tell() < 2_000_000


@pytest.mark.parametrize("length", ["5000000", "9" * 50, "x", "-1", "0", None])
def test_what_is_too_much_or_nothing_is_left_to_the_server(length: str | None) -> None:
    assert not body.may_be_left(request(io.BytesIO(), length).env)


def test_a_stream_that_breaks_while_it_is_dropped_is_nobodys_error() -> None:
    body.ThenDrop(b"no", request(Broken(), "10").env).close()
