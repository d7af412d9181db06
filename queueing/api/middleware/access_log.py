"""A line in the log for every request. Paths, never queries or bodies: those may hold secrets."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Any

import falcon

from queueing.api.request import Request

log = logging.getLogger("queueing.access")


class AccessLog:
    """Logs method, path, status, time, bytes, project, ids of the request and where it came from."""

    def __init__(self, log_format: str) -> None:
        self._fields_only = log_format == "json"

    def process_request(self, req: Request, _resp: falcon.Response) -> None:
        req.started = perf_counter()

    def process_response(
        self, req: Request, resp: falcon.Response, _resource: object, _succeeded: bool
    ) -> None:
        if not log.isEnabledFor(logging.INFO):
            return
        # Falcon answers what is not even HTTP before `process_request`.
        passed = perf_counter() - req.started if req.started else 0.0
        status = str(resp.status).partition(" ")[0]
        method, path = _harmless(req.method), _harmless(req.path)
        fields: dict[str, Any] = {
            "ms": round(passed * 1000, 2),
            "bytes": len(resp.data or b""),
            "project": _harmless(req.project) or "-",
            "request_id": req.reference,
            "remote": _harmless(req.env.get("REMOTE_ADDR", "-")),
        }
        if req.reference != req.request_id:
            fields["openstack_request_id"] = req.request_id
        if self._fields_only:
            fields |= {"method": method, "path": path, "status": int(status)}
        log.info("%s %s %s", method, path, status, extra=fields)


def _harmless(text: str) -> str:
    """Control characters escaped: nobody writes lines of their own into the log."""
    return text if text.isprintable() else ascii(text)[1:-1]
