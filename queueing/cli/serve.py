"""`queueing serve`: the server, embedded."""

from __future__ import annotations

import json
import logging
import shlex
import socket
from collections.abc import Mapping

import click

from queueing import __version__, logs, tracing
from queueing.cli.listening import listen
from queueing.cli.signals import hold_signals
from queueing.config import Settings, load, masked
from queueing.metrics import place
from queueing.wiring import build

log = logging.getLogger("queueing.server")

STRICT_HEADERS = (
    "-H 'X-Project-ID: demo' -H 'Client-ID: 3381af92-2b9e-11e3-b191-71861300734c' "
    "-H 'Content-Type: application/json' "
)


@click.command(short_help="Serve the API.")
@click.option(
    "--config", "config_file", metavar="FILE", help="Settings as TOML.  [QUEUEING_CONFIG]"
)
@click.option("--bind", metavar="HOST:PORT", help="Where to listen.  [QUEUEING_BIND]")
@click.option("--storage", metavar="URI", help="Where messages are kept.  [QUEUEING_STORAGE]")
@click.option("--server", metavar="NAME", help="gunicorn or granian.  [QUEUEING_SERVER]")
@click.option("--workers", type=int, metavar="N", help="Worker processes.  [QUEUEING_WORKERS]")
@click.option("--threads", type=int, metavar="N", help="Threads in each.  [QUEUEING_THREADS]")
def serve(
    config_file: str | None,
    bind: str | None,
    storage: str | None,
    server: str | None,
    workers: int | None,
    threads: int | None,
) -> None:
    """Serve the API until SIGTERM or Ctrl-C; what is in flight is finished then.

    \b
    Example:
      queueing serve --bind 127.0.0.1:8888 --storage sqlite:///queueing.db
    """
    from queueing.cli.master import Server, check_installed, listeners_wanted

    flags = {
        "bind": bind,
        "storage": storage,
        "server": server,
        "workers": workers,
        "threads": threads,
    }
    settings = load(config_file, flags=flags).settings
    logs.configure(settings)
    check_installed(settings)
    tracing.check_installed(settings)
    durability = _probe(settings)
    listeners = listen(settings.bind, listeners_wanted(settings))
    place.prepare(settings)
    hold_signals()
    announce(settings, listeners[0], durability)
    Server(settings, listeners).run()


def announce(
    settings: Settings, listener: socket.socket, durability: Mapping[str, str | int | bool]
) -> None:
    """Say where we listen, what we store in and how durably, and what to type now."""
    host, port = listener.getsockname()[:2]
    url = f"http://{_in_url(host)}:{port}"
    where = f"{masked(settings.storage)} ({durability['engine']}). {durability['promise']}"
    body = json.dumps({"messages": [{"body": "hello"}]})
    headers = STRICT_HEADERS if settings.strict_headers else ""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # asks only
    target = shlex.quote(f"http://{_in_url(reachable)}:{port}/v2/queues/demo/messages")
    lines = (
        f"queueing {__version__} listens on {url} and stores in {where}",
        f"Try: curl {target} {headers}-d '{body}'",
    )
    for line in lines:
        if settings.log_format == "json":
            log.info("%s", line)
        else:
            click.echo(line)


def _probe(settings: Settings) -> Mapping[str, str | int | bool]:
    """Wire a node, ask its store, close it again: each worker opens its own after the fork."""
    with logs.silence():
        node = build(settings)
        try:
            node.storage.ping()
            return node.storage.durability()
        finally:
            node.close()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
