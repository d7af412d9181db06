"""Plays a scenario from beginning to end, and judges it."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tests.torture.deployment import Deployment
from tests.torture.disk import SmallDisk
from tests.torture.load import Load
from tests.torture.report import Outcome
from tests.torture.scenario import Form, Run, Scenario
from tests.torture.stores import STORES

Tell = Callable[[str, Load | None], None]
"""Told what happens now, and by what load."""


def play(scenario: Scenario, store: str, form: Form, tell: Tell) -> Outcome:
    """The files of a run that did not pass are kept, and the outcome says where."""
    home = Path(tempfile.mkdtemp(prefix=f"queueing-torture-{scenario.name}-"))
    kept = False
    try:
        outcome = _play(scenario, store, form, tell, home)
        kept = not outcome.passed
    except AssertionError as error:
        kept = True
        broken = f"it did not come to its end: {str(error)[:500]}"
        outcome = Outcome(scenario.name, store, 0.0, 0, 0, {}, 0.0, [], [broken])
    finally:
        if not kept:
            shutil.rmtree(home, ignore_errors=True)
    if kept:
        outcome = replace(outcome, complaints=[*outcome.complaints, f"logs are in {home}"])
    return outcome


def _play(scenario: Scenario, store: str, form: Form, tell: Tell, home: Path) -> Outcome:
    with ExitStack() as stack:
        disk = None
        if scenario.small_disk:
            disk = stack.enter_context(SmallDisk(home / "disk"))
        tell("starts", None)
        deployment = stack.enter_context(
            Deployment(
                home,
                STORES[store](disk.path if disk else home / "store"),
                envs=scenario.envs(),
                store_link=scenario.store_link,
                node_link=scenario.node_link,
            )
        )
        load = Load([deployment.url])
        stack.callback(load.stop)
        load.start()
        run = Run(deployment, load, form, lambda what: tell(what, load), disk)
        scenario.play(run)
        load.stop()
        tell("is judged", load)
        deployment.settle()
        return judged(scenario.name, store, run, load)


def judged(name: str, store: str, run: Run, load: Load) -> Outcome:
    complaints = [*run.complaints, *dict.fromkeys(load.wrong)]
    complaints += [f"a client broke: {error!r}" for error in load.errors]
    return Outcome(
        scenario=name,
        store=store,
        seconds=load.seconds,
        operations=load.operations,
        posted=load.posted,
        failed=dict(Counter(failure.what for failure in load.failures)),
        recovery_seconds=run.recovery_seconds,
        findings=load.findings(),
        complaints=complaints,
    )
