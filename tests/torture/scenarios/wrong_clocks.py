from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from tests.support import wrong_clock
from tests.torture.scenario import OVER_A_NETWORK, Run, scenario
from tests.torture.talk import Talk

HOUR = 3600
AHEAD = {1: HOUR, 2: -HOUR}


def clocks() -> Mapping[int, Mapping[str, str]]:
    """The environment that shifts what Python takes for the time, and leaves the monotonic clock alone.

    Not by libfaketime: with the monotonic clock left alone, that of Debian 12 (0.9.10) breaks sleeping
    until a time of that clock, as Python does it.
    """
    (directory,) = wrong_clock.__path__
    return {
        number: {"PYTHONPATH": directory, "WRONG_CLOCK_SECONDS": str(ahead)}
        for number, ahead in AHEAD.items()
    }


@scenario("wrong-clocks", stores=OVER_A_NETWORK, envs=clocks)
def wrong_clocks(run: Run) -> None:
    """One node's clock is an hour fast, another's an hour slow: nobody notices."""
    for node in run.deployment.nodes:
        talk = Talk(node.url)
        head = talk.ask("GET", "/v2/ping").head.decode("latin-1")
        talk.close()
        date = re.search(r"(?i)\r\ndate: *([^\r]+)", head)
        says = parsedate_to_datetime(date[1]).timestamp() if date else 0.0
        off = says - time.time() - AHEAD.get(node.number, 0)
        run.expect(abs(off) < HOUR / 2, f"the clock of node {node.number} was not made wrong")
    run.tell("node 1 is an hour fast, node 2 an hour slow")
    run.quiet(run.form.fault_seconds + 2 * run.form.quiet_seconds)
    run.expect_no_failure()
