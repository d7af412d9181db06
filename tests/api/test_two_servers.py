"""What only the server decides: the table of `docs/servers.md`, a test for each line of it."""

from __future__ import annotations

import pytest

from tests.support.http import Answer, Api, Wire, chunked, request_bytes

ONE_STORE = True

MESSAGES = b'{"messages": [{"body": 1}]}'


def ask(api: Api, data: bytes, *, end: bool = False) -> Answer:
    with Wire(api.url) as wire:
        wire.send(data)
        if end:
            wire.end()
        answer = wire.answer("POST")
    assert answer is not None
    return answer


def post(api: Api, *headers: tuple[str, str | bytes]) -> bytes:
    return request_bytes("POST", "/v2/queues/q/messages", [*api.headers.items(), *headers])


@pytest.mark.parametrize("body", [chunked(MESSAGES), b"1b\r\n" + MESSAGES, b"xyz\r\n"])
def test_a_body_of_unknown_length(api: Api, web_server: str, body: bytes) -> None:
    # granian gives a connection up, whatever it was about to say there, when its other end is closed.
    end = web_server == "gunicorn"
    answer = ask(api, post(api, ("Transfer-Encoding", "chunked")) + body, end=end)
    whole = body == chunked(MESSAGES)
    if web_server == "granian":
        assert answer.status == 411 and answer.closes
        assert answer.json()["title"] == "411 Length Required"
    else:
        assert answer.status == (201 if whole else 400)
    assert api.queue_names() == (["q"] if answer.status == 201 else [])


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"no colon", 400),
        (b"Bad Name: x", 400),
        (b"Value: a\x00b", 400),
        (b"Content-Length: 5\r\nContent-Length: 6", 400),
        (b"\r\n".join([b"X-Many: 1"] * 200), 431),
        (b"X-Large: " + b"x" * (1 << 20), 431),
    ],
)
def test_what_is_no_http(api: Api, web_server: str, line: bytes, status: int) -> None:
    head, blank, _ = post(api).partition(b"\r\n\r\n")
    answer = ask(api, head + b"\r\n" + line + blank)
    assert answer.status == status and answer.closes
    if web_server == "granian":
        assert not answer.body and answer.header("X-OpenStack-Request-ID") is None
    else:
        assert answer.json()["title"] and answer.header("X-OpenStack-Request-ID")


@pytest.mark.parametrize("project", [b"\xfc", "größe".encode(), b"\xff\xfe\x80"])
def test_a_project_beyond_ascii(api: Api, web_server: str, project: bytes) -> None:
    headers = [("X-Project-ID", project), ("Client-ID", api.client_id)]
    answer = ask(api, request_bytes("GET", "/v2/queues", headers))
    if web_server == "granian":
        assert answer.status == 400
        assert answer.json()["title"] == "Empty project header not allowed"
    else:
        assert answer.status == 200


def test_a_header_with_an_underscore(api: Api, web_server: str) -> None:
    headers = [("X_Project_ID", ""), ("Client-ID", api.client_id)]
    answer = ask(api, request_bytes("GET", "/v2/queues", headers))
    assert answer.status == (400 if web_server == "granian" else 200)


def test_a_request_line_that_is_long_only_as_sent(api: Api, web_server: str) -> None:
    target = "/v2/queues/" + "%41" * 4000
    answer = ask(api, request_bytes("GET", target, api.headers.items()))
    assert answer.status == (400 if web_server == "granian" else 414)


def test_a_client_that_stops_sending_before_it_has_its_answer(api: Api, web_server: str) -> None:
    data = post(api, ("Content-Length", str(len(MESSAGES)))) + MESSAGES
    answered = 0
    for _ in range(10):
        with Wire(api.url) as wire:
            wire.send(data)
            wire.end()
            answer = wire.answer("POST")
        assert answer is None or answer.status == 201
        answered += answer is not None
    assert answered == 10 or web_server == "granian"
    assert answered <= api.counts("q")[2] <= 10
