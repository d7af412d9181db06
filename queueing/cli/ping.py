"""`queueing ping`: does a node answer, and its store? For health checks of containers."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import click

from queueing.config import address, load
from queueing.service.readiness import LIVE, READY

PING = "/v2/ping"
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # asks only


@click.command(short_help="Ask a node whether it can serve.")
@click.argument("url", required=False)
@click.option(
    "--ready",
    "path",
    flag_value=READY,
    help="Whether it wants requests: not if it is about to stop.",
)
@click.option("--live", "path", flag_value=LIVE, help="Whether it answers, wherever its store is.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=4.0, metavar="S",
              help="Wait S seconds at most; 4.")  # fmt: skip
def ping(url: str | None, path: str | None, timeout: float) -> None:
    """Ask the node at URL, by default the one that the settings make listen here.

    Exit code 0: it answers and its store too. 1: not.

    \b
    Example:
      queueing ping http://127.0.0.1:8888
    """
    host, port, tls = _target(url)
    kind = http.client.HTTPSConnection if tls else http.client.HTTPConnection
    connection = kind(host, port, timeout=timeout)
    where = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        connection.request("GET", path or PING, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise click.ClickException(f"{where} does not answer: {error}") from error
    finally:
        connection.close()
    if response.status != 204:
        raise click.ClickException(f"{where} answers {response.status}: {body[:300]}")
    click.echo(f"{where} serves")


def _target(url: str | None) -> tuple[str, int, bool]:
    if url is None:
        host, port = address(load().settings.bind)
        return ANY.get(host, host), port, False
    parts = urlsplit(url if "//" in url else f"http://{url}")
    try:
        port_given = parts.port
    except ValueError as error:
        raise click.UsageError(f"URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.UsageError(f"URL: expected http://HOST:PORT, got {url!r}")
    tls = parts.scheme == "https"
    return parts.hostname, port_given or (443 if tls else 80), tls
