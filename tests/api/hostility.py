"""What a hostile client sends: valid requests that something was done to.

Everything is made from a `random.Random`, so that a seed tells the request: drawing each byte by
hypothesis takes longer than serving the request.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from tests.api import second_reading
from tests.api.second_reading import Verdict
from tests.support.http import FORM_TYPE, PATCH_TYPE, request_bytes

VALUES: list[bytes] = [
    *b"null true false 0 -0 1 -1 59 60 100 900 901 43200 43201 1209600 1209601 262144 262145".split(),
    *b"1.5 60.0 6e1 1e400 -1e-400 NaN Infinity -Infinity nan 01 +1 0x1 1_0 .5 5. tru nul".split(),
    b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808", b"-9223372036854775809",
    b"1180591620717411303424", b"9" * 5000, b"0.10000000000000000001",
    b'"60"', b'""', b'"q"', b'"p"', b'"."', b'"dead"', b'"messages"', b'"add"', b'"/metadata/a"',
    b'"\\u0000"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\\uD83D\\u0041"',
    b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\xf4\x90\x80\x80"', b'"\x00"', b'"\n"',
    b'"\\x"', b'"\\u00"', b"'a'", b'"',
    "\ufeff".encode(), "\ufeff{}".encode(), "{}".encode("utf-16"), b"", b" ", b"\x0b", b"\xc2\xa0",
    b"[]", b"{}", b"[[]]", b"[{}]", b"[null]", b'["messages"]', b'{"a":1,"a":2}',
    b'{"a":"\\ud800","a":2}', b'{"":0}', b'{"\\ud800":0}', b'{"body":1}', b'[{"body":1}]',
    b'[{"body":1},{"body":2,"ttl":60}]', b"{}{}", b"[1,]", b'{"a":1,}',
    b"[" * 300 + b"]" * 300, b"[" * 600 + b"]" * 600, b'{"a":' * 600 + b"1" + b"}" * 600,
    b"[" * 50_000, b'"' + b"x" * 70_000 + b'"',
]  # fmt: skip
SMALL = [value for value in VALUES if len(value) < 100]
FRAGMENTS = [
    *SMALL,
    *(bytes([byte]) for byte in b'{}[]",:\\/0-.eE \t\r\n\x00\x7f\x80\xff'),
    b'"body":',
    b'"ttl":',
    b'"messages":[',
    b',"ttl":1',
    b"//",
    b"/**/",
]
KEYS = ["body", "ttl", "delay", "messages", "op", "path", "value", "x", "\u00fc"]


def json_value(random: Random, deep: int = 3) -> Any:
    kind = random.randrange(8 if deep else 6)
    if kind == 0:
        return random.choice([None, True, False])
    if kind == 1:
        return random.randint(-(2**64), 2**64)
    if kind == 2:
        return random.randint(-1, 1000)
    if kind == 3:
        return random.uniform(-1000, 1000)
    if kind < 6:
        return "".join(chr(random.randrange(0xD7FF)) for _ in range(random.randrange(5)))
    if kind == 6:
        return [json_value(random, deep - 1) for _ in range(random.randrange(4))]
    return {random.choice(KEYS): json_value(random, deep - 1) for _ in range(random.randrange(4))}


def value(random: Random) -> bytes:
    kind = random.random()
    if kind < 0.75:
        return random.choice(VALUES)
    if kind < 0.85:
        return random.randbytes(random.randrange(7))
    return json.dumps(json_value(random), ensure_ascii=random.random() < 0.5).encode()


def damaged(random: Random, text: bytes, most: int = 3) -> bytes:
    """The text after up to `most` accidents."""
    for _ in range(random.randint(0, most)):
        here = random.randint(0, len(text))
        fragment = random.choice(FRAGMENTS)
        accident = random.randrange(5)
        if accident == 0:
            text = text[:here] + fragment + text[here:]
        elif accident == 1:
            text = text[:here] + text[here + random.randint(1, 7) :]
        elif accident == 2:
            text = text[:here] + fragment + text[here + len(fragment) :]
        elif accident == 3:
            text = text[:here]
        else:
            text = text + text[here:]
    return text


def body(random: Random, templates: tuple[bytes, ...]) -> bytes:
    """A template with a value in the place of its `@`, every other time damaged."""
    text = random.choice(templates).replace(b"@", value(random))
    return damaged(random, text) if random.random() < 0.5 else text


class Target(NamedTuple):
    """A request whose body is in question."""

    method: str
    path: str
    judge: Callable[[bytes], Verdict]
    good: tuple[int, ...]
    templates: tuple[bytes, ...]


TARGETS = (
    Target(
        "POST",
        "/v2/queues/q/messages",
        second_reading.post,
        (201,),
        (
            b"@",
            b'{"messages":@}',
            b'{"messages":[@]}',
            b'{"messages":[{"body":@}]}',
            b'{"messages":[{"body":1},{"body":{"a":[@]},"ttl":60}]}',
            b'{"messages":[{"body":1,"ttl":@}]}',
            b'{"messages":[{"body":1,"delay":@,"ttl":100}]}',
            b'{"messages":[{"body":1,"ttl":60,"ttl":@}]}',
            b'{"messages":[{"body":1,"ttl":@,"ttl":60}]}',
            b'{"messages":@,"messages":[{"body":1}]}',
            b'{"messages":[{"body":1}],"unknown":@}',
            b'{"messages":[{"body":1,"unknown":@}]}',
            b'{"messages":[{"body":1,@:1}]}',
            b'{@:[{"body":1}]}',
        ),
    ),
    Target(
        "POST",
        "/v2/queues/c/claims",
        second_reading.claim,
        (204,),
        (b"@", b'{"ttl":@}', b'{"grace":@,"ttl":100}', b'{"ttl":@,"ttl":100}', b'{"x":@}'),
    ),
    Target(
        "PUT",
        "/v2/queues/p",
        second_reading.put,
        (201, 204),
        (
            b"@",
            b'{"key":@}',
            b'{@:"value"}',
            b'{"_enable_encrypt_messages":@}',
            b'{"_dead_letter_queue":@}',
            b'{"_flavor":@}',
            *(b'{"%b":@}' % name.encode() for name in second_reading.BOUNDS),
        ),
    ),
    Target(
        "POST",
        "/v2/queues/n/purge",
        second_reading.purge,
        (204,),
        (b"@", b'{"resource_types":@}', b'{"resource_types":["messages",@]}'),
    ),
)
CHANGES = (
    b"@",
    b"[@]",
    b'[{"op":@,"path":"/metadata/a","value":1}]',
    b'[{"op":"add","path":@,"value":1}]',
    b'[{"op":"add","path":"/metadata/a","value":@}]',
    b'[{"op":"add","path":"/metadata/@","value":1}]',
    b'[{"op":"replace","path":"/metadata/_max_claim_count","value":@}]',
    b'[{"op":"remove","path":"/metadata/owner","value":@}]',
    b'[{"op":"add","path":"/metadata/a","value":1},@]',
    b'[{"op":"add","path":"/metadata/a","value":1,@:2}]',
)
RENEWALS = (b"@", b'{"ttl":@}', b'{"grace":@,"ttl":100}', b'{"x":@}')

# Targets of requests

METHODS = [
    "GET",
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "FETCH",
    "get",
]
PATHS = [
    "/", "/v2/", "/v2/ping", "/v2/queues", "/v2/queues", "/v2/queues/q", "/v2/queues/q/stats",
    "/v2/queues/q/messages", "/v2/queues/q/messages", "/v2/queues/q/messages/m", "/v2/queues/q/claims",
    "/v2/queues/q/claims", "/v2/queues/q/claims/c", "/v2/health",
]  # fmt: skip
PIECES = [
    "..", ".", "/", "//", "%2F", "%2f", "%2e", "%2E%2E", "%00", "%0A", "%0d%0a", "%25", "%", "%g1", "%C3%BC",
    "%FF", "%c0%ae%c0%ae", ";", ";a=b", ":", "@", "\\", "*", "~", "'", "{q}", "{queue}", "|", "^", "`", "<x>",
    "q" * 65, "x" * 300, "v2", "queues", "messages", "claims", "stats", "default", "$", "&", "=", "(", "!",
]  # fmt: skip
NAMES = [
    "limit", "marker", "detailed", "with_count", "name", "echo", "include_claimed", "include_delayed",
    "ids", "pop", "claim_id", "claim_ids", "owner", "", "LIMIT", "%00", "%FF", "a%5B%5D",
]  # fmt: skip
TEXTS = [
    "", "0", "1", "-1", "20", "21", "+1", "1.0", "x", "true", "TRUE", "None", "%00", "%FF", "%C3%BC", "%",
    "%2", "%zz", ",", "%2C", "a,b", ";", "a;limit=1", "9" * 30, "9" * 5000, "1_0", "%D9%A3", "x" * 2000,
    "*", ".*", "%27", "../..", "%20", "+", "1%0A", "null", "[]", "%u0031",
]  # fmt: skip


def target(random: Random) -> tuple[str, str, str]:
    """Method, path, query."""
    path = random.choice(PATHS)
    for _ in range(random.choice((0, 0, 1, 2, 3))):
        here = random.randint(1, len(path))
        path = path[:here] + random.choice(PIECES) + path[here:]
    query = "&".join(
        random.choice(NAMES) + random.choice(("=", "=", "==", "")) + random.choice(TEXTS)
        for _ in range(random.randrange(4))
    )
    return random.choice(METHODS), path, query


# Headers

HEADER_NAMES: list[bytes] = [
    b"Client-ID", b"Client-ID", b"Accept", b"Content-Type", b"Content-Encoding", b"Idempotency-Key",
    b"X-Roles", b"X-Tenant-ID", b"X-Request-ID", b"X-Auth-Token", b"URL-Signature", b"EXTRA-SPEC",
    b"Range", b"If-Match", b"If-None-Match", b"Accept-Encoding", b"Cookie", b"Upgrade", b"Origin",
    b"Forwarded", b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-HTTP-Method-Override", b"Script-Name",
    b"Referer", b"User-Agent", b"Date", b"x" * 200, b"X_Project_ID", b"Client_ID",
]  # fmt: skip
HEADER_VALUES: list[bytes] = [
    b"", b" ", b"x", b"*", b"*/*", b"text/html", b"application/json", b"application/json;q=0", b"q=;;=,",
    b"a/b;c=\"", b"\xff\xfe", "ü".encode(), b"a" * 300, b"a" * 9000, b"a" * 65536, b"-1", b"1", b"0",
    b"99999999999999999999", b"chunked", b"gzip", b"identity", b"close", b"keep-alive", b"100-continue",
    b"12345678-1234-1234-1234-123456789012", b"{12345678123412341234123456789012}", b"urn:uuid:", b"a,b",
    b"admin", b"%00", b"../..", b"'", b"\"", b"(comment)", b"\t", b"a\tb", b"a b", PATCH_TYPE.encode(),
    FORM_TYPE.encode(), b"application/json; charset=utf-16", b"multipart/form-data; boundary=x",
]  # fmt: skip


def headers(random: Random) -> list[tuple[bytes, bytes]]:
    return [
        (random.choice(HEADER_NAMES), random.choice(HEADER_VALUES))
        for _ in range(random.randint(1, 4))
    ]


# Framing

MESSAGES = b'{"messages":[{"body":1}]}'
LENGTHS = [
    b"0", b"1", b"24", b"25", b"26", b"1000", b"262145", b"99999999999999999999", b"-1", b"+25", b"25.0",
    b"0x19", b"25, 25", b"25,26", b"", b" 25", b"2 5", b"\xd9\xa3", b"025", b"1_0", b"9" * 5000,
]  # fmt: skip
CHUNK_SIZES = [
    b"%x", b"%X", b"0%x", b"%x ", b"%x;ext=1", b"-%x", b"+%x", b"0x%x", b"", b"g", b" %x",
    b"ffffffffffffffff", b"7fffffffffffffff0", b"%x\t", b"%x;\x00", b"%x\x0b",
]  # fmt: skip
LINE_ENDS = [b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b""]
LAST_CHUNKS = [b"0\r\n\r\n", b"0\r\n", b"0", b"", b"0\r\nX: y\r\n\r\n", b"-0\r\n\r\n", b"x"]
CODINGS = [b"chunked", b"Chunked", b"gzip, chunked", b"x", b"", b"chunked, chunked", b"identity"]


def frame(random: Random, project: str) -> bytes:
    """The bytes of a connection that posts a message, about."""
    kind = random.randrange(4)
    if kind == 0:
        cut = random.randint(1, len(MESSAGES))
        return _post(project, (b"Content-Length", random.choice(LENGTHS))) + MESSAGES[:cut]
    if kind == 1:
        size, end = random.choice(CHUNK_SIZES), random.choice(LINE_ENDS)
        cut = random.randint(1, len(MESSAGES) - 1)
        chunks = b"".join(
            (size % len(piece) if b"%" in size else size) + end + piece + end
            for piece in (MESSAGES[:cut], MESSAGES[cut:])
        )
        head = _post(project, (b"Transfer-Encoding", b"chunked"))
        return head + chunks + random.choice(LAST_CHUNKS)
    if kind == 2:
        whole = _post(project, (b"Content-Length", b"%d" % len(MESSAGES))) + MESSAGES
        return damaged(random, whole, most=4)
    name = random.choice([b"Content-Length", b"Transfer-Encoding", b"Content-Length "])
    first = (name, random.choice([b"25", b"0", b"chunked", b"identity"]))
    return _post(project, first, (b"Transfer-Encoding", random.choice(CODINGS))) + MESSAGES


def _post(project: str, *headers: tuple[bytes, bytes]) -> bytes:
    mine = (b"X-Project-ID", project.encode())
    return request_bytes("POST", "/v2/queues/q/messages", [mine, *headers])
