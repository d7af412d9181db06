"""Leave for pages of other origins to call this service from a browser, where configured."""

from __future__ import annotations

from collections.abc import Collection

import falcon

from queueing.api.request import Request

METHODS = "DELETE, GET, HEAD, PATCH, POST, PUT"
REQUEST_HEADERS = (
    "Client-ID, Content-Type, Idempotency-Key, X-Auth-Token, X-Project-ID, X-Request-ID, X-Roles,"
    " X-Tenant-ID"
)
RESPONSE_HEADERS = (
    "Allow, Claim-Fence, Idempotency-Replayed, Location, Retry-After, X-OpenStack-Request-ID,"
    " X-Request-ID"
)
REMEMBER_SECONDS = "600"


class Cors:
    def __init__(self, origins: Collection[str]) -> None:
        self._all = "*" in origins
        self._origins = frozenset(origins)

    def process_response(
        self, req: Request, resp: falcon.Response, _resource: object, _succeeded: bool
    ) -> None:
        if not self._all:
            resp.append_header("Vary", "Origin")
        origin = req.env.get("HTTP_ORIGIN")
        if origin is None or not (self._all or origin in self._origins):
            return
        resp.set_header("Access-Control-Allow-Origin", "*" if self._all else origin)
        if req.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in req.env:
            resp.set_header("Access-Control-Allow-Methods", METHODS)
            resp.set_header("Access-Control-Allow-Headers", REQUEST_HEADERS)
            resp.set_header("Access-Control-Max-Age", REMEMBER_SECONDS)
        else:
            resp.set_header("Access-Control-Expose-Headers", RESPONSE_HEADERS)
