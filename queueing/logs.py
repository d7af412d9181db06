"""Log lines: to standard error, as text or as JSON, the server's own like everybody's."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from gunicorn.glogging import Logger

from queueing.config import Settings

log = logging.getLogger("queueing.server")

_ENCODER = json.JSONEncoder(ensure_ascii=False, default=str)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class TextFormatter(logging.Formatter):
    """`2030-01-01T00:00:00.123Z INFO queueing.access message key=value`: one line, also for odd input."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname} {record.name} {_printable(record.getMessage())}"
        for key, value in _extras(record).items():
            line += f" {key}={_printable(str(value))}"
        if record.exc_info:
            line += f"\n{self.formatException(record.exc_info)}"
        return line


class JsonFormatter(logging.Formatter):
    """An object per line: `time`, `level`, `logger`, `message`, what the line has `extra`, `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= _extras(record)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _ENCODER.encode(line)


class GunicornLogger(Logger):  # type: ignore[misc]  # gunicorn has no type hints
    """Sends what gunicorn has to say through our handler; its chatter only when debugging."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True
        debugging = logging.getLogger().isEnabledFor(logging.DEBUG)
        self.error_log.setLevel(logging.DEBUG if debugging else logging.WARNING)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        if isinstance(sys.exc_info()[1], BlockingIOError):  # `client_timeout_seconds` are over
            log.info("a client paused for too long, its connection was closed")
        else:
            super().exception(msg, *args, **kwargs)


def configure(settings: Settings) -> None:
    """Send log lines of at least `log_level` to standard error, in `log_format`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    logging.captureWarnings(True)
    for chatty in ("pymongo", "redis", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


@contextmanager
def silence() -> Iterator[None]:
    """No log lines: for what ends in one line of its own when it fails."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _time(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03d}Z"


@lru_cache(maxsize=8)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _extras(record: logging.LogRecord) -> Mapping[str, Any]:
    own: Mapping[str, Any] | None = vars(record).get("fields")  # an access record says it itself
    if own is not None:
        return own
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _printable(text: str) -> str:
    """Control characters escaped, so that nobody can write lines of their own into the log."""
    return (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    )
