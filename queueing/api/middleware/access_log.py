"""A line in the log for every request. Paths, never queries or bodies: those may hold secrets."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import lru_cache
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
        record = self.__dict__
        record.update(_TEMPLATE)
        record["fields"] = fields
        record["msg"] = message
        record["created"] = now
        record["msecs"] = now % 1 * 1000


class AccessLog:
    """Logs method, path, status, time, bytes, project, ids of the request and where it came from."""

    def __init__(self, log_format: str) -> None:
        self._record = _json_record if log_format == "json" else _text_record

    def process_request(self, req: Request, _resp: falcon.Response) -> None:
        req.started = time.perf_counter()

    def process_response(
        self, req: Request, resp: falcon.Response, _resource: object, _succeeded: bool
    ) -> None:
        if log.isEnabledFor(logging.INFO):
            # Falcon refuses some methods before `process_request`.
            passed = time.perf_counter() - req.started if req.started else 0.0
            log.handle(self._record(req, resp, passed * 1000))


def _text_record(req: Request, resp: falcon.Response, milliseconds: float) -> logging.LogRecord:
    reference, own = req.reference, req.request_id
    ids = reference if reference is own else f"{reference} openstack_request_id={own}"
    return AccessRecord(
        f"{req.method} {_encoded(req.path)} {str(resp.status)[:3]} ms={milliseconds:.2f}"
        f" bytes={_bytes(resp)} project={_quoted(req.project) or '-'} request_id={ids}"
        f" remote={_quoted(req.env.get('REMOTE_ADDR', '-'))}",
        {},
    )


def _json_record(req: Request, resp: falcon.Response, milliseconds: float) -> logging.LogRecord:
    path, status = _encoded(req.path), str(resp.status)[:3]
    fields = {
        "method": req.method,
        "path": path,
        "status": int(status),
        "ms": round(milliseconds, 2),
        "bytes": _bytes(resp),
        "project": _escaped(req.project) or "-",
        "request_id": req.reference,
        "remote": _escaped(req.env.get("REMOTE_ADDR", "-")),
    }
    if req.reference is not req.request_id:
        fields["openstack_request_id"] = req.request_id
    return AccessRecord(f"{req.method} {path} {status}", fields)


def _bytes(resp: falcon.Response) -> int:
    return len(resp.data or b"") or int(resp.get_header("Content-Length", default="0"))


# Most values come again and again; ids in paths do not, and cost what they would without.


@lru_cache(1024)
def _encoded(path: str) -> str:
    """A path as in a URL: nothing in it can end a line or look like another word of it."""
    path = path[:_LONGEST]
    return path if _plain(path) else quote(path)


@lru_cache(1024)
def _quoted(text: str) -> str:
    text = text[:_LONGEST]
    return text if _plain(text) else ascii(text)


@lru_cache(1024)
def _escaped(text: str) -> str:
    text = text[:_LONGEST]
    return text if text.isprintable() else ascii(text)[1:-1]


def _plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
