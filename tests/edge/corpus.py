"""Attempts to smuggle a request past whoever looks at it first, as data.

Each is the bytes of one connection. However they are read, there is one honest request in front at
most, and behind it bytes that are a request of their own for those who are deceived: a post into the
queue SMUGGLED. What must hold is the same for all: nothing is posted there that whoever stands in front
did not see as a request, no answer is a 5xx, and others are served.
"""

from __future__ import annotations

from typing import Final, NamedTuple

BODY: Final = b'{"messages": [{"body": 1}]}'
SMUGGLED: Final = "smuggled"
HIDDEN: Final = (
    b"POST /v2/queues/smuggled/messages HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%b"
    % (len(BODY), BODY)
)
"""What must never be carried out."""


class Attempt(NamedTuple):
    name: str
    sent: bytes


def framed(*headers: bytes, body: bytes = b"", method: bytes = b"POST") -> bytes:
    lines = (method + b" /v2/queues/front/messages HTTP/1.1", b"Host: t", *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


END: Final = b"0\r\n\r\n"
WHOLE: Final = len(BODY) + len(HIDDEN)
CHUNKED: Final = b"Transfer-Encoding: chunked"


def length(number: int | bytes) -> bytes:
    return b"Content-Length: %b" % (number if isinstance(number, bytes) else b"%d" % number)


# Length and chunks at once: by length all of it is a body, by chunks it ends before the hidden request.
# Under the one reading nothing is smuggled; under the other it would be, so both must be refused.
ENCODINGS: Final = {
    "plain": CHUNKED,
    "in capitals": b"TRANSFER-ENCODING: CHUNKED",
    "with a blank before the colon": b"Transfer-Encoding : chunked",
    "with a tab before the colon": b"Transfer-Encoding\t: chunked",
    "with a tab after the colon": b"Transfer-Encoding:\tchunked",
    "with a vertical tab": b"Transfer-Encoding:\x0bchunked",
    "with a form feed": b"Transfer-Encoding: chunked\x0c",
    "with a null byte": b"Transfer-Encoding: chunked\x00",
    "unknown": b"Transfer-Encoding: xchunked",
    "quoted": b'Transfer-Encoding: "chunked"',
    "twice in a list": b"Transfer-Encoding: chunked, chunked",
    "before identity": b"Transfer-Encoding: chunked, identity",
    "after identity": b"Transfer-Encoding: identity, chunked",
    "empty first": b"Transfer-Encoding: , chunked",
    "in two lines": b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    "folded": b"Transfer-Encoding:\r\n chunked",
    "folded before": b"X-A: b\r\n Transfer-Encoding: chunked",
    "after a bare CR": b"X-A: b\rTransfer-Encoding: chunked",
    "after a bare LF": b"X-A: b\nTransfer-Encoding: chunked",
    "with a high byte": b"Transfer-Encoding: chunked\xff",
    "with a semicolon": b"Transfer-Encoding: chunked;q=1",
}

BOTH: Final = [
    Attempt(f"length and chunks, {name}", framed(length(5), line, body=END + HIDDEN))
    for name, line in ENCODINGS.items()
] + [
    Attempt(
        f"chunks and length, {name}",
        framed(line, length(len(chunk(BODY)) + 5), body=chunk(BODY) + END + HIDDEN),
    )
    for name, line in ENCODINGS.items()
]

# The hidden request is inside the body by the first number, behind it by the second.
LENGTHS: Final = [
    Attempt("two lengths, short first", framed(length(len(BODY)), length(WHOLE), body=BODY + HIDDEN)),
    Attempt("two lengths, long first", framed(length(WHOLE), length(len(BODY)), body=BODY + HIDDEN)),
    *(
        Attempt(f"length {text!r}", framed(length(text), body=BODY + HIDDEN))
        for text in (
            b"+27", b"-27", b"27 27", b"27, 60", b"0x1b", b"27a", b"2_7", b"27.0", b"\x0b27", b"27\x00",
            b"", b'"27"', b"1e1", b"\xd9\xa2\xd9\xa7", b"99999999999999999999999999",
        )
    ),
    Attempt("a length with a blank before the colon", framed(b"Content-Length : 0", body=HIDDEN)),
    Attempt("a length behind a bare LF", framed(b"X-A: b\nContent-Length: 500", body=HIDDEN)),
    Attempt("a folded length", framed(b"Content-Length:\r\n 27", body=BODY + HIDDEN)),
]  # fmt: skip

CHUNKS: Final = [
    Attempt(f"a chunk of size {size!r}", framed(CHUNKED, body=size + b"\r\n" + BODY + b"\r\n" + END + HIDDEN))
    for size in (b"0x1b", b"+1b", b"-1b", b"1b ", b" 1b", b"1_b", b"1b\x00", b"1b;\nx", b"", b"g", b"f" * 20)
] + [
    Attempt("a chunk that is longer than it says", framed(CHUNKED, body=b"5\r\n" + BODY + b"\r\n" + END + HIDDEN)),
    Attempt("chunks that end in bare LF", framed(CHUNKED, body=b"1b\n" + BODY + b"\n0\n\n" + HIDDEN)),
    Attempt("a chunk without its CRLF", framed(CHUNKED, body=b"1b\r\n" + BODY + END + HIDDEN)),
    Attempt("a trailer that is a length", framed(CHUNKED, body=b"0\r\nContent-Length: 0\r\nX y\r\n\r\n" + HIDDEN)),
]  # fmt: skip

LINES: Final = [
    Attempt("a request in a header", framed(b"X-A: b\r\r\n\r\n" + HIDDEN)),
    Attempt("a head of bare LF", framed(length(WHOLE)).replace(b"\r\n", b"\n") + BODY + HIDDEN),
    Attempt("a head of bare CR", framed(length(len(BODY))).replace(b"\r\n", b"\r") + HIDDEN),
    Attempt("HTTP/1.0 with chunks", framed(CHUNKED, body=END + HIDDEN).replace(b"/1.1", b"/1.0", 1)),
    Attempt("HTTP/0.9", b"GET /v2/queues/front/messages\r\n" + HIDDEN),
    Attempt("a version of its own", framed(body=HIDDEN).replace(b"HTTP/1.1", b"HTTP/1.1x", 1)),
    Attempt("two blanks in the request line", framed(body=HIDDEN).replace(b" HTTP", b"  HTTP", 1)),
    Attempt("a target with line ends", b"GET /v2/queues/a%0d%0a%0d%0aPOST HTTP/1.1\r\nHost: t\r\n X\r\n\r\n" + HIDDEN),
    Attempt("a first header that is folded", b"POST /v2/queues/front/messages HTTP/1.1\r\n Host: t\r\n\r\n" + HIDDEN),
    Attempt("a header without a colon", framed(b"Content-Length", body=HIDDEN)),
    Attempt("a header without a name", framed(b": 5", body=HIDDEN)),
    Attempt("an expectation that is none", framed(b"Expect: 100-continued", length(WHOLE), body=BODY + HIDDEN)),
]  # fmt: skip

INSIDE: Final = [
    Attempt("a request as the body", framed(length(len(HIDDEN)), body=HIDDEN)),
    Attempt("a request as a chunk", framed(CHUNKED, body=chunk(HIDDEN) + END)),
    Attempt("a request as the body of a GET", framed(length(len(HIDDEN)), body=HIDDEN, method=b"GET")),
    Attempt("a request as the body of a HEAD", framed(length(len(HIDDEN)), body=HIDDEN, method=b"HEAD")),
    Attempt("a request as the body of a DELETE", framed(length(len(HIDDEN)), body=HIDDEN, method=b"DELETE")),
    Attempt("a request as the body of an OPTIONS", framed(length(len(HIDDEN)), body=HIDDEN, method=b"OPTIONS")),
    Attempt("a request as the body of what is unknown", framed(length(len(HIDDEN)), body=HIDDEN, method=b"FOO")),
]  # fmt: skip

ATTEMPTS: Final = [*BOTH, *LENGTHS, *CHUNKS, *LINES, *INSIDE]
