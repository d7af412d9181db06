"""`queueing serve`: the server, embedded."""

from __future__ import annotations

import errno
import json
import logging
import shlex
import socket
from collections.abc import Mapping

import click

from queueing import __version__, logs
from queueing.config import Settings, address, load, masked
from queueing.wiring import build

log = logging.getLogger("queueing.server")

BACKLOG = 2048
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
@click.option("--workers", type=int, metavar="N", help="Worker processes.  [QUEUEING_WORKERS]")
@click.option("--threads", type=int, metavar="N", help="Threads in each.  [QUEUEING_THREADS]")
def serve(
    config_file: str | None,
    bind: str | None,
    storage: str | None,
    workers: int | None,
    threads: int | None,
) -> None:
    """Serve the API until SIGTERM or Ctrl-C; what is in flight is finished then.

    \b
    Example:
      queueing serve --bind 127.0.0.1:8888 --storage sqlite:///queueing.db
    """
    from queueing.cli.gunicorn_server import Server, hold_signals

    flags = {"bind": bind, "storage": storage, "workers": workers, "threads": threads}
    settings = load(config_file, flags=flags).settings
    logs.configure(settings)
    durability = _probe(settings)
    listener = _listen(settings.bind)
    hold_signals()
    announce(settings, listener, durability)
    Server(settings, listener).run()


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


def _listen(bind: str) -> socket.socket:
    """A listening socket.

    :raises click.ClickException: the address is taken, not ours, unknown
    """
    host, port = address(bind)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise click.ClickException(f"bind {bind}: no such host: {error.strerror}") from None
    # `localhost` first of all as IPv4, which everybody tries.
    family, kind, protocol, _, target = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(target)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        hint = "; another program listens there" if error.errno == errno.EADDRINUSE else ""
        raise click.ClickException(f"bind {bind}: {error.strerror}{hint}") from None
    return listener


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
