"""The command: `python -m tests.torture --help`."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

import click
from rich.console import Console

from tests.torture import scenarios  # noqa: F401  # registers them
from tests.torture.load import Load
from tests.torture.play import play
from tests.torture.report import Outcome, table
from tests.torture.scenario import FULL, SCENARIOS, SHORT, Form, Scenario
from tests.torture.stores import STORES

EVERY_SECONDS = 10.0
"""How often a line is written where no line can be written over."""


class Progress:
    """Says what happens while it happens: on a terminal in one line, elsewhere now and then."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._what = ""
        self._load: Load | None = None
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._status = console.status(title) if console.is_terminal else None
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        if self._status:
            self._status.stop()

    def tell(self, what: str, load: Load | None) -> None:
        self._what, self._load = what, load
        if not self._status:
            self._line()

    def _show(self) -> None:
        while not self._over.wait(0.5 if self._status else EVERY_SECONDS):
            self._line()

    def _line(self) -> None:
        seconds = time.monotonic() - self._begun
        text = f"{self._title}: {self._what}; {seconds:.0f} s"
        if self._load is not None:
            load = self._load
            rate = load.posted / load.seconds if load.seconds else 0
            text += f", {load.posted:,} messages ({rate:,.0f}/s), {len(load.failures):,} failed"
        if self._status:
            self._status.update(text)
        else:
            self._console.print(text, highlight=False, soft_wrap=True)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, metavar="[SCENARIO]...")
@click.option("--list", "show_list", is_flag=True, help="Name the scenarios, and what each does.")
@click.option("--store", type=click.Choice(list(STORES)), default="redis", show_default=True,
              help="What the nodes store in.")  # fmt: skip
@click.option("--short", is_flag=True, help="All of it in six minutes: as CI does.")
@click.option("--seconds", type=click.FloatRange(min=1), metavar="S",
              help="How long a fault lasts; 20, with --short 10.")  # fmt: skip
@click.option("--times", type=click.IntRange(min=1), default=1, metavar="N",
              help="Play them all so often; 1.")  # fmt: skip
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path),
              metavar="FILE", help="Write what came of it to FILE too.")  # fmt: skip
def main(
    names: tuple[str, ...],
    show_list: bool,
    store: str,
    short: bool,
    seconds: float | None,
    times: int,
    json_file: Path | None,
) -> None:
    """Harm three nodes, their balancer and their store while clients use them, and judge what the
    clients saw. Without a SCENARIO all are played that make sense with the store.

    Exit code 0: all passed; 1: one did not; 2: wrong usage; 130: Ctrl-C.
    """
    if show_list:
        for scenario in SCENARIOS.values():
            click.echo(f"{scenario.name:16} {scenario.what} ({', '.join(scenario.stores)})")
        return
    form = SHORT if short else FULL
    if seconds is not None:
        form = form._replace(fault_seconds=seconds)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell has it ignored
    console = Console(stderr=True)
    outcomes: list[Outcome] = []
    chosen = _chosen(names, store) * times
    try:
        for number, scenario in enumerate(chosen, 1):
            outcomes.append(_played(scenario, store, form, console, f"{number}/{len(chosen)}"))
    except KeyboardInterrupt:
        console.print("interrupted")
        sys.exit(130)
    finally:
        _report(outcomes, json_file)
    sys.exit(0 if all(outcome.passed for outcome in outcomes) else 1)


def _chosen(names: tuple[str, ...], store: str) -> list[Scenario]:
    for name in names:
        if name not in SCENARIOS:
            raise click.UsageError(f"{name}: expected some of {', '.join(SCENARIOS)}")
        if store not in SCENARIOS[name].stores:
            raise click.UsageError(
                f"{name} makes no sense over {store}, only over {', '.join(SCENARIOS[name].stores)}"
            )
    return [
        scenario
        for scenario in SCENARIOS.values()
        if (scenario.name in names if names else store in scenario.stores)
    ]


def _played(scenario: Scenario, store: str, form: Form, console: Console, counted: str) -> Outcome:
    with Progress(console, f"[{counted}] {scenario.name}") as progress:
        outcome = play(scenario, store, form, progress.tell)
    verdict = "passed" if outcome.passed else "FAILED"
    console.print(f"{scenario.name}: {verdict}", markup=False, highlight=False)
    if outcome.failed:
        failed = ", ".join(f"{count:,} {what}" for what, count in outcome.failed.items())
        console.print(f"  failed: {failed}", markup=False, highlight=False, soft_wrap=True)
    for reason in outcome.reasons():
        console.print(f"  {reason}", markup=False, highlight=False, soft_wrap=True)
    return outcome


def _report(outcomes: list[Outcome], json_file: Path | None) -> None:
    if json_file is not None:
        json_file.write_text(json.dumps([outcome.document() for outcome in outcomes], indent=1))
    if outcomes:
        out = Console()
        if not out.is_terminal:
            out.width = 200
        out.print(table(outcomes))


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
