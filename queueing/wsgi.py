"""For WSGI servers: `gunicorn -c etc/gunicorn.conf.py queueing.wsgi:app`."""

from __future__ import annotations

import atexit
import mmap
from typing import Any
from wsgiref.types import WSGIApplication

from queueing import logs
from queueing.config import Settings, load
from queueing.metrics import place
from queueing.tracing import tracer
from queueing.wiring import Node, build

_nodes: list[Node] = []
_leaving = mmap.mmap(-1, 1)  # seen by all processes that were forked since


def create_app(settings: Settings) -> WSGIApplication:
    """The app over a store that stays open until the process ends. Once per process, after a fork."""
    node = build(
        settings,
        metrics=place.prepare(settings),
        tracer=tracer(settings),
        is_leaving=is_leaving,
    )
    node.start()
    _nodes.append(node)
    atexit.register(node.close)
    return node.app


def leave() -> None:
    """Say that this server is about to stop: its nodes, in all its processes, are not ready any more."""
    _leaving[0] = 1


def is_leaving() -> bool:
    return _leaving[0] == 1


def stop_waiting() -> None:
    """Answer all requests of this process that wait, at once: for servers that are told to stop."""
    for node in _nodes:
        node.stop_waiting()


def __getattr__(name: str) -> Any:
    """`app` is made when a server asks for it, so that importing this module opens no store."""
    if name != "app":
        raise AttributeError(name)
    settings = load().settings
    logs.configure(settings)
    globals()["app"] = create_app(settings)
    return globals()["app"]
