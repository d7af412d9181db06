"""What no server hands to the app: requests beyond these limits, answered in the shape of the app's errors."""

from __future__ import annotations

import json
import uuid

LONGEST_REQUEST_LINE = 8190  # bytes; more is answered 414
LARGEST_HEADER = 16 * 1024  # bytes of one header line; more is answered 431

BAD_REQUEST = "400 Bad Request"
# With the phrases of RFC 9110: those of Python depend on its version.
LENGTH_REQUIRED = "411 Length Required"
URI_TOO_LONG = "414 URI Too Long"
EXPECTATION_FAILED = "417 Expectation Failed"
HEADERS_TOO_LARGE = "431 Request Header Fields Too Large"


def refusal(status: str, why: str) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of an answer after which the connection is closed."""
    title = "Bad request" if status == BAD_REQUEST else status
    return answer({"title": title, "description": why})


def answer(document: dict[str, str]) -> tuple[list[tuple[str, str]], bytes]:
    body = json.dumps(document).encode()
    headers = [
        ("X-OpenStack-Request-ID", f"req-{uuid.uuid4()}"),
        ("Connection", "close"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
    ]
    return headers, body
