"""`queueing prepare`: have the store ready before the first node starts."""

from __future__ import annotations

import signal
import sys
import time

import click

from queueing import logs
from queueing.config import Settings, load, masked
from queueing.core.errors import StorageUnavailable
from queueing.storage.registry import initiate_storage
from queueing.wiring import open_store

AGAIN_SECONDS = 0.5


@click.command(short_help="Make the store ready, once.")
@click.option(
    "--config", "config_file", metavar="FILE", help="Settings as TOML.  [QUEUEING_CONFIG]"
)
@click.option("--storage", metavar="URI", help="Where messages are kept.  [QUEUEING_STORAGE]")
@click.option("--wait", type=click.FloatRange(min=0), default=0.0, metavar="S",
              help="For a store that is away, S seconds at most; 0.")  # fmt: skip
@click.option("--initiate", is_flag=True,
              help="Make MongoDB's servers in URI a replica set, if they are none.")  # fmt: skip
def prepare(config_file: str | None, storage: str | None, wait: float, initiate: bool) -> None:
    """Reach the store, make what it needs (file and tables, or indexes), and say how durable it is.

    Nodes do the same when they start; this is for a step of its own in a deployment. Doing it again
    changes nothing.

    \b
    Example:
      queueing prepare --storage redis://localhost:6379/0 --wait 60
    """
    settings = load(config_file, flags={"storage": storage}).settings
    logs.configure(settings)
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(143)
    )  # or the first process of a container stays
    durability = _reach(settings, wait, initiate)
    click.echo(
        f"{masked(settings.storage)} is ready ({durability['engine']}). {durability['promise']}"
    )


def _reach(settings: Settings, patience: float, initiate: bool) -> dict[str, str | int | bool]:
    deadline = time.monotonic() + patience
    told = not patience
    while True:
        try:
            with logs.silence():
                if initiate:
                    initiate_storage(
                        settings.storage, timeout_seconds=settings.storage_timeout_seconds
                    )
                store = open_store(settings)
                try:
                    store.ping()
                    return dict(store.durability())
                finally:
                    store.close()
        except StorageUnavailable as error:
            if not told:
                click.echo(f"waiting for {masked(settings.storage)}: {error}", err=True)
                told = True
            if time.monotonic() >= deadline:
                raise
        time.sleep(min(AGAIN_SECONDS, max(0.0, deadline - time.monotonic())))
