"""Requests that no sane client sends, each with the answer that it gets."""

from __future__ import annotations

import gzip

import pytest

from tests.support.http import (
    API,
    BODY,
    NAME,
    Answer,
    Api,
    Wire,
    chunked,
    request_bytes,
    success,
)

ONE_STORE = True

MESSAGES = b'{"messages": [{"body": 1}]}'
PATH = "/v2/queues/q/messages"


def post(api: Api, *headers: tuple[str | bytes, str | bytes], body: bytes | None = None) -> bytes:
    return request_bytes("POST", PATH, [*api.headers.items(), *headers], body)


def only_answer(api: Api, data: bytes, method: str = "POST", *, end: bool = False) -> Answer:
    """The answer to bytes that end a connection, or begin one that goes on."""
    with Wire(api.url) as wire:
        wire.send(data)
        if end:
            wire.end()
        answer = wire.answer(method)
        assert answer is not None
        if not end and not answer.closes:
            ping = wire.ask(request_bytes("GET", "/v2/ping", api.headers.items()))
            assert ping is not None and ping.status == 204
        elif answer.closes:
            assert wire.answer() is None
    return answer


def stored(api: Api) -> int:
    """How many messages there are in the project."""
    return sum(int(api.counts(name)[2]) for name in api.queue_names())


# Headers


@pytest.mark.parametrize(
    "size", [16 * 1024 + 1, 64 * 1024, pytest.param(1024 * 1024, marks=pytest.mark.gunicorn_only)]
)
@pytest.mark.parametrize("name", ["X-Large", "Client-ID", "Idempotency-Key", "Accept"])
def test_a_header_that_is_too_large(api: Api, name: str, size: int) -> None:
    answer = only_answer(api, post(api, (name, "x" * size), body=MESSAGES))
    assert answer.status == 431
    assert answer.closes
    assert answer.json()["title"] == "431 Request Header Fields Too Large"
    assert stored(api) == 0


def test_too_many_headers(api: Api) -> None:
    headers = [(f"X-{number}", "x") for number in range(1000)]
    answer = only_answer(api, post(api, *headers, body=MESSAGES))
    assert answer.status == 431
    assert stored(api) == 0


@pytest.mark.parametrize(
    "line",
    [
        b"no colon",
        b": no name",
        b"Bad Name: x",
        b"Bad\x00Name: x",
        b"Name : x",
        b"N\xc3\xbcme: x",
        b"Value: a\x00b",
        b"Value: a\rb",
        b"Value: a\nb",
    ],
)
@pytest.mark.gunicorn_only
def test_a_malformed_header(api: Api, line: bytes) -> None:
    head, blank, body = post(api, body=MESSAGES).partition(b"\r\n\r\n")
    answer = only_answer(api, head + b"\r\n" + line + blank + body)
    assert answer.status == 400
    assert answer.json()["title"] == "Bad request"
    assert stored(api) == 0


@pytest.mark.parametrize(
    "line",
    [b"NONSENSE", b"GET", b"GET /", b"GET / HTTP/9.9.9", b"GET / FTP/1.1", b"/ GET HTTP/1.1",
     b"GET  / HTTP/1.1 x", b"\x16\x03\x01\x02\x00\x01\x00", b"PRI * HTTP/2.0",
     b"G\x00T / HTTP/1.1", b"GET /\x00 HTTP/1.1 x"],
)  # fmt: skip
def test_what_is_no_request(api: Api, line: bytes) -> None:
    answer = only_answer(api, line + b"\r\nHost: x\r\n\r\n", "GET")
    assert 400 <= answer.status < 500
    assert answer.closes


def test_a_target_that_is_too_long(api: Api) -> None:
    for target in ("/v2/queues/" + "q" * 10_000, "/v2/queues?name=" + "x" * 70_000):
        answer = only_answer(api, request_bytes("GET", target, api.headers.items()), "GET")
        assert answer.status == 414
        assert answer.closes


def test_nothing_at_all(api: Api) -> None:
    with Wire(api.url) as wire:
        wire.end()
        assert wire.answer() is None


# Length


@pytest.mark.parametrize("whole", [True, False])
def test_a_body_that_ends_early(api: Api, whole: bool) -> None:
    sent = MESSAGES if whole else MESSAGES[:10]
    data = post(api, ("Content-Length", "1000")) + sent
    answer = only_answer(api, data, end=True)
    assert answer.status == 400
    assert answer.json()["title"] == BODY
    assert stored(api) == 0


def test_a_body_that_is_longer_than_it_says(api: Api) -> None:
    """The rest is the next request, and that is none."""
    data = post(api, ("Content-Length", str(len(MESSAGES)))) + MESSAGES + b"garbage\r\n\r\n"
    with Wire(api.url) as wire:
        first = wire.ask(data)
        assert first is not None and first.status == 201
        second = wire.answer()
        assert second is not None and second.status == 400 and second.closes
        assert wire.answer() is None
    assert stored(api) == 1


def test_a_body_that_is_shorter_than_a_document(api: Api) -> None:
    data = post(api, ("Content-Length", "10")) + MESSAGES
    with Wire(api.url) as wire:
        first = wire.ask(data)
        assert first is not None and first.status == 400
        assert first.json()["title"] == BODY
    assert stored(api) == 0


@pytest.mark.parametrize(
    "length", ["-1", "+27", "27.0", "0x1b", "27, 27", "27,28", "2 7", "x", "²⁷", "1_0", "9" * 5000]
)
def test_a_length_that_is_no_number(api: Api, length: str) -> None:
    data = post(api, ("Content-Length", length.encode())) + MESSAGES
    answer = only_answer(api, data, end=True)
    assert answer.status in (400, 431)
    assert stored(api) == 0


@pytest.mark.gunicorn_only
def test_a_length_beyond_all_bounds(api: Api) -> None:
    for length in ("262145", "99999999999", "99999999999999999999999"):
        answer = only_answer(api, post(api, ("Content-Length", length)) + MESSAGES, end=True)
        assert answer.status == 400
        assert answer.json()["title"] == API
    assert stored(api) == 0


@pytest.mark.gunicorn_only
def test_two_lengths(api: Api) -> None:
    length = str(len(MESSAGES))
    for other in (length, "5"):
        data = post(api, ("Content-Length", length), ("Content-Length", other)) + MESSAGES
        answer = only_answer(api, data)
        assert answer.status == 400
        assert answer.closes
    assert stored(api) == 0


# Chunks


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"1b\r\n",
        b"1b\r\n" + MESSAGES,
        b"1b\r\n" + MESSAGES + b"\r\n",
        b"1a\r\n" + MESSAGES + b"\r\n0\r\n\r\n",
        b"1c\r\n" + MESSAGES + b"\r\n0\r\n\r\n",
        b"xyz\r\n" + MESSAGES + b"\r\n0\r\n\r\n",
        b"-1b\r\n" + MESSAGES + b"\r\n0\r\n\r\n",
        b"+1b\r\n" + MESSAGES + b"\r\n0\r\n\r\n",
        b"0x1b\r\n" + MESSAGES + b"\r\n0\r\n\r\n",
        b"\r\n" + MESSAGES + b"\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n" + MESSAGES + b"\r\n0\r\n\r\n",
        b"7fffffffffffffff\r\n" + MESSAGES + b"\r\n0\r\n\r\n",
        MESSAGES,
    ],
)
@pytest.mark.gunicorn_only
def test_broken_chunks(api: Api, body: bytes) -> None:
    data = post(api, ("Transfer-Encoding", "chunked")) + body
    answer = only_answer(api, data, end=True)
    assert answer.status == 400
    assert stored(api) == 0


@pytest.mark.gunicorn_only
def test_chunks_and_a_length(api: Api) -> None:
    both = post(api, ("Transfer-Encoding", "chunked"), ("Content-Length", "5"))
    answer = only_answer(api, both + chunked(MESSAGES), end=True)
    assert answer.status == 400
    assert answer.closes
    assert stored(api) == 0


@pytest.mark.parametrize("encoding", ["gzip", "x", "chunked, chunked", "chunked, x"])
def test_other_transfer_encodings(api: Api, encoding: str) -> None:
    data = post(api, ("Transfer-Encoding", encoding)) + chunked(MESSAGES)
    answer = only_answer(api, data)
    assert 400 <= answer.status < 500
    assert answer.closes
    assert stored(api) == 0


def test_a_coding_below_the_chunks_is_not_undone(api: Api) -> None:
    data = post(api, ("Transfer-Encoding", "gzip, chunked")) + chunked(gzip.compress(MESSAGES))
    answer = only_answer(api, data)
    assert 400 <= answer.status < 500
    assert stored(api) == 0


@pytest.mark.gunicorn_only
def test_chunks_beyond_the_limit(api: Api) -> None:
    data = post(api, ("Transfer-Encoding", "chunked")) + chunked(*[b" " * 65536] * 5, MESSAGES)
    answer = only_answer(api, data)
    assert answer.status == 400
    assert answer.json()["title"] == API
    assert stored(api) == 0


@pytest.mark.parametrize("size", [262145, 1_000_000])
def test_a_large_body_is_refused_and_the_connection_goes_on(api: Api, size: int) -> None:
    answer = only_answer(api, post(api, body=b" " * size))
    assert answer.status == 400
    assert answer.json()["title"] == API
    assert stored(api) == 0


def test_an_enormous_body_is_refused(api: Api) -> None:
    """It is not read to its end, so the connection may be over."""
    with Wire(api.url) as wire:
        answer = wire.ask(post(api, body=b" " * 20_000_000))
    assert answer is not None
    assert answer.status == 400
    assert answer.json()["title"] == API
    assert stored(api) == 0


def test_expectations(api: Api) -> None:
    """A client may ask whether to send its body; it may not ask for anything else."""
    head = post(api, ("Expect", "100-continue"), ("Content-Length", str(len(MESSAGES))))
    answer = only_answer(api, head + MESSAGES)
    assert answer.status == 201
    answer = only_answer(api, post(api, ("Expect", "the unexpected"), body=MESSAGES))
    assert 400 <= answer.status < 500
    assert stored(api) == 1


# Paths


@pytest.mark.parametrize(
    ("target", "status", "title"),
    [
        ("/v2/queues/../queues", 404, "404 Not Found"),
        ("/v2/../v2/queues", 404, "404 Not Found"),
        ("/v2/./queues", 404, "404 Not Found"),
        ("/v2/%2e%2e/v2/queues", 404, "404 Not Found"),
        ("/v2/queues/q/..", 404, "404 Not Found"),
        ("/v2/queues/q/../../queues", 404, "404 Not Found"),
        ("/v2/queues/%2e%2e", 400, NAME),
        ("/v2/queues/%2e", 400, NAME),
        ("/v2/queues/%2e%2e/messages", 400, NAME),
        ("/v2/queues/%252e", 400, NAME),
        ("/v2/queues/q%00", 400, NAME),
        ("/v2/queues/%00", 400, NAME),
        ("/v2%00/queues", 404, "404 Not Found"),
        ("/v2/queues%00", 404, "404 Not Found"),
        ("/v2/queues/q;x=y", 400, NAME),
        ("/v2/queues;x=y", 404, "404 Not Found"),
        ("/v2/queues//", 404, "404 Not Found"),
        ("/v2//queues", 404, "404 Not Found"),
        ("//v2/queues", 404, "404 Not Found"),
        ("///v2/queues/q", 404, "404 Not Found"),
        ("/v2/queues/\\..\\q", 400, NAME),
        ("/v2\\queues", 404, "404 Not Found"),
        ("/v2/queues/%C3%BC", 400, NAME),
        pytest.param("/v2/queues/\xfc", 400, "Bad request", marks=pytest.mark.gunicorn_only),
        pytest.param("/v2/queu\xe9s", 400, "Bad request", marks=pytest.mark.gunicorn_only),
        ("/%76%32/queues/bad%21", 400, NAME),
        ("/v2/queues/%EF%BC%8E", 400, NAME),
        ("/v2/queues/%c0%ae", 400, NAME),
        ("/v2/queues/q/messages/%2e%2e", 404, "Not found"),
        ("/v2/queues/q/messages/%00", 404, "Not found"),
        ("/v2/queues/q/claims/..%2f..", 404, "404 Not Found"),
        ("/v2/queues/{queue}", 400, NAME),
        ("/v2/queues/%7Bqueue%7D/stats", 400, NAME),
        ("/v2/queues/q%0d%0aX-Evil:%20x", 400, NAME),
    ],
)
def test_path_tricks(api: Api, target: str, status: int, title: str) -> None:
    api.create("q")
    answer = only_answer(api, request_bytes("GET", target, api.headers.items()), "GET")
    assert answer.status == status
    assert answer.json()["title"] == title
    assert answer.header("X-Evil") is None
    assert api.queue_names() == ["q"]


def test_an_absolute_target_is_the_same_as_its_path(api: Api) -> None:
    data = request_bytes("PUT", "http://elsewhere.test/v2/queues/q", api.headers.items(), b"")
    answer = only_answer(api, data, "PUT")
    assert answer.status in (201, 400, 404)
    assert api.queue_names() == (["q"] if answer.status == 201 else [])


def test_the_star_and_other_targets(api: Api) -> None:
    for method, target in (("OPTIONS", "*"), ("GET", "*"), ("GET", "v2/queues"), ("GET", "?x=y")):
        answer = only_answer(api, request_bytes(method, target, api.headers.items()), method)
        assert answer.status < 500
    answer = only_answer(api, request_bytes("CONNECT", "x:443", api.headers.items()), "CONNECT")
    assert 400 <= answer.status < 500


# Injection


def test_values_of_a_request_do_not_leak_into_headers(api: Api) -> None:
    for name in ("X-Request-ID", "Idempotency-Key", "Origin"):
        data = post(api, (name, "x%0d%0aX-Evil: 1"), body=MESSAGES)
        answer = only_answer(api, data)
        assert answer.header("X-Evil") is None
    api.create("q2")
    listing = api.get("/v2/queues?limit=1&name=q2&x=%22%3E%0d%0aX-Evil:1")
    assert "X-Evil" not in listing.headers


def test_links_stay_json_whatever_is_asked(api: Api) -> None:
    api.create("q", **{'k"\\': 'v"\\\n'})
    listing = success(api.get("/v2/queues?k%22%5C=v%22%5C%0A"))
    assert [entry["name"] for entry in listing["queues"]] == ["q"]
    assert success(api.get(listing["links"][0]["href"]))["queues"] == []
