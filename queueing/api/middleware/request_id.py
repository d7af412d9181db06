"""A name for every request: ours, and the client's own if it sent one."""

from __future__ import annotations

import os
import re

import falcon

from queueing.api.request import Request

_SANE = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")
_AT_ONCE = 128  # ids per call of os.urandom, which is what an id costs most

_ids: list[str] = []
# A process that was forked would go on with its parent's ids.
os.register_at_fork(after_in_child=_ids.clear)


class RequestId:
    """Sets `X-OpenStack-Request-ID` and `X-Request-ID` on every response."""

    def process_request(self, req: Request, resp: falcon.Response) -> None:
        identify(req, resp)


def identify(req: Request, resp: falcon.Response) -> None:
    """`X-Request-ID`: what came, if it is 1 to 128 characters that no log or shell minds; else ours."""
    req.request_id = req.reference = new = _next()
    given = req.env.get("HTTP_X_REQUEST_ID")
    if given is not None and _SANE.fullmatch(given):
        req.reference = given
    resp.set_header("X-OpenStack-Request-ID", new)
    resp.set_header("X-Request-ID", req.reference)


def _next() -> str:
    while True:
        try:
            return _ids.pop()  # atomic, so threads share the list without a lock
        except IndexError:
            _ids.extend(_make(_AT_ONCE))


def _make(count: int) -> list[str]:
    """`req-` and a random (version 4) UUID, `count` times."""
    digits = os.urandom(16 * count).hex()
    return [
        f"req-{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"
        for h in (digits[start : start + 32] for start in range(0, len(digits), 32))
    ]
