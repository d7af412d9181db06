"""A line in the log for every request. Paths, never queries or bodies: those may hold secrets."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import falcon

from queueing.api.request import Request

log = logging.getLogger("queueing.access")


_LONGEST = 512  # characters of what a client may choose

_TEMPLATE = vars(
    logging.makeLogRecord({"name": log.name, "levelno": logging.INFO, "levelname": "INFO"})
)


class AccessRecord(logging.LogRecord):
    """A record that leaves out who logs and in which thread: that costs half of the line."""

    def __init__(self, message: str, fields: Mapping[str, Any]) -> None:
        now = time.time()
        self.__dict__ |= _TEMPLATE
        self.__dict__ |= fields
        self.msg = message
        self.created = now
        self.msecs = now % 1 * 1000


class AccessLog:
    """Logs method, path, status, time, bytes, project, ids of the request and where it came from."""

    def __init__(self, log_format: str) -> None:
        self._json = log_format == "json"
        self._value = _escaped if self._json else _quoted

    def process_request(self, req: Request, _resp: falcon.Response) -> None:
        req.started = time.perf_counter()

    def process_response(
        self, req: Request, resp: falcon.Response, _resource: object, _succeeded: bool
    ) -> None:
        if not log.isEnabledFor(logging.INFO):
            return
        # Falcon refuses some methods before `process_request`.
        passed = time.perf_counter() - req.started if req.started else 0.0
        method, path, status = req.method, _encoded(req.path[:_LONGEST]), str(resp.status)[:3]
        fields: dict[str, Any] = {
            "ms": round(passed * 1000, 2),
            "bytes": len(resp.data or b"") or int(resp.get_header("Content-Length", default="0")),
            "project": self._value(req.project[:_LONGEST]) if req.project else "-",
            "request_id": req.reference,
            "remote": self._value(req.env.get("REMOTE_ADDR", "-")),
        }
        if req.reference is not req.request_id:
            fields["openstack_request_id"] = req.request_id
        if self._json:
            fields |= {"method": method, "path": path, "status": int(status)}
        log.handle(AccessRecord(f"{method} {path} {status}", fields))


def _plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _encoded(path: str) -> str:
    """A path as in a URL: nothing in it can end a line or look like another word of it."""
    return path if _plain(path) else quote(path)


def _quoted(text: str) -> str:
    return text if _plain(text) else ascii(text)


def _escaped(text: str) -> str:
    return text if text.isprintable() else ascii(text)[1:-1]
