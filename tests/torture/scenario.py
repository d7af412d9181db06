"""What a scenario is, and all of them by name.

A scenario is a function that is given a `Run`: nodes under load. It harms them, says when it did, and
what it expects to hold besides what is judged of every run: nothing lost, doubled, under two live
claims, out of order or resurrected.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.torture.deployment import Deployment
from tests.torture.disk import SmallDisk
from tests.torture.load import Failure, Load

RECOVERY_SECONDS: Final = 5.0
"""Once a fault is there (or over, if nobody could serve) no request that begins later than this fails."""


class Form(NamedTuple):
    """How long things take."""

    quiet_seconds: float  # of load before the fault and after it
    fault_seconds: float  # that a fault lasts
    frozen_seconds: float  # that a node is frozen


FULL: Final = Form(10.0, 20.0, 30.0)
SHORT: Final = Form(2.0, 10.0, 12.0)  # longer than clients wait for an answer


@dataclass
class Run:
    """One play of a scenario."""

    deployment: Deployment
    load: Load
    form: Form
    tell: Callable[[str], None]
    """Told what happens now, for whoever watches."""
    disk: SmallDisk | None = None
    complaints: list[str] = field(default_factory=list)
    harmed_at: float | None = None

    def harmed(self, at: float | None = None) -> None:
        """From now on (or then) the service has to recover."""
        self.harmed_at = time.monotonic() if at is None else at

    def quiet(self, seconds: float | None = None) -> None:
        """Let the load go on, which has to get on."""
        before = self.load.posted
        seconds = self.form.quiet_seconds if seconds is None else seconds
        self.pass_time(seconds)
        self.expect(self.load.posted > before, f"nothing was acknowledged within {seconds:g} s")

    def pass_time(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self.load.errors and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))

    def expect(self, holds: bool, complaint: str) -> None:
        if not holds:
            self.complaints.append(complaint)

    @property
    def failures(self) -> list[Failure]:
        return list(self.load.failures)

    @property
    def recovery_seconds(self) -> float:
        """From the fault to the beginning of the last request that failed."""
        if self.harmed_at is None:
            return 0.0
        late = [failure.start - self.harmed_at for failure in self.failures]
        return max(0.0, *late, 0.0)

    def expect_no_failure(self) -> None:
        self.expect(not self.failures, f"{len(self.failures)} requests failed, expected none")

    def expect_recovery(self) -> None:
        took = self.recovery_seconds
        self.expect(
            took <= RECOVERY_SECONDS, f"requests failed {took:.1f} s after, expected at most 5"
        )


Play = Callable[[Run], None]


@dataclass(frozen=True)
class Scenario:
    name: str
    play: Play
    stores: tuple[str, ...]
    store_link: bool = False
    node_link: bool = False
    small_disk: bool = False
    envs: Callable[[], Mapping[int, Mapping[str, str]]] = dict

    @property
    def what(self) -> str:
        """A line."""
        return (self.play.__doc__ or "").strip().partition("\n")[0]


ALL_STORES: Final = ("redis", "redis-cluster", "mongodb", "sqlite")
OVER_A_NETWORK: Final = ("redis", "redis-cluster", "mongodb")

SCENARIOS: dict[str, Scenario] = {}


def scenario(
    name: str,
    *,
    stores: tuple[str, ...] = ALL_STORES,
    store_link: bool = False,
    node_link: bool = False,
    small_disk: bool = False,
    envs: Callable[[], Mapping[int, Mapping[str, str]]] = dict,
) -> Callable[[Play], Play]:
    """Register a scenario under its name, with what it asks of the deployment."""

    def register(play: Play) -> Play:
        SCENARIOS[name] = Scenario(
            name,
            play,
            stores,
            store_link=store_link,
            node_link=node_link,
            small_disk=small_disk,
            envs=envs,
        )
        return play

    return register
