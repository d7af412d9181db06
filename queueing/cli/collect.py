"""`queueing collect`: sweep what is over, for space; answers never depend on it."""

from __future__ import annotations

import logging
import signal
import sys

import click

from queueing import logs
from queueing.config import load
from queueing.core.clock import StoreClock
from queueing.core.errors import StorageUnavailable
from queueing.service.sweeping import CHUNK, Sweeper, Swept
from queueing.wiring import open_store

log = logging.getLogger("queueing.collect")

GLIMPSE_SECONDS = 0.5  # of sweeping between two looks at the progress bar


@click.command(short_help="Sweep what is over.")
@click.option(
    "--config", "config_file", metavar="FILE", help="Settings as TOML.  [QUEUEING_CONFIG]"
)
@click.option("--storage", metavar="URI", help="Where messages are kept.  [QUEUEING_STORAGE]")
@click.option("--every", type=click.FloatRange(min=0.1), metavar="S", help="Again every S seconds.")
def collect(config_file: str | None, storage: str | None, every: float | None) -> None:
    """Delete messages, claims and remembered keys that are over, and finish interrupted dead letters.

    \b
    Example:
      queueing collect --every 60
    """
    settings = load(config_file, flags={"storage": storage}).settings
    logs.configure(settings)
    with logs.silence():
        store = open_store(settings)
    try:
        with logs.silence():
            store.ping()
        clock = StoreClock(store.time)
        store.on_reconnect = clock.reset
        sweeper = Sweeper(store, clock)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sweeper.stop.set())
        _report(sweep(sweeper))
        while every is not None and not sweeper.stop.wait(every):
            try:
                swept = sweep(sweeper)
            except StorageUnavailable as error:
                log.warning("sweeping has to wait, the store is away: %s", error)
            else:
                if any(swept):
                    _report(swept)
    finally:
        store.close()


def sweep(sweeper: Sweeper) -> Swept:
    """Sweep until nothing is left, with a bar on a terminal that counts."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("swept {task.completed:,.0f}"), TimeElapsedColumn()
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task("", total=None)
        total = Swept(0, 0)
        while not sweeper.stop.is_set():
            swept = sweeper.sweep(budget_seconds=GLIMPSE_SECONDS)
            total = Swept(total.collected + swept.collected, total.forwarded + swept.forwarded)
            bar.update(task, completed=total.collected)
            if swept.collected < CHUNK and not swept.forwarded:
                break
    return total


def _report(swept: Swept) -> None:
    click.echo(f"swept {swept.collected}, forwarded {swept.forwarded} dead letters")
