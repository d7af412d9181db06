"""Any node, same answer (P7), as it is deployed: what `tests/replay` asks of nodes in this process, asked of
three in containers, on the store of the compose file, through the balancer."""

from __future__ import annotations

import httpx
import pytest

from queueing.config import Settings
from queueing.core.clock import ManualClock
from tests.containers.conftest import Deployment
from tests.containers.test_compose import wait_until_it_serves
from tests.model import ModelStorage
from tests.replay.log import random_log, timeless
from tests.replay.player import Player, first_difference, without_time
from tests.support.http import connect
from tests.support.node import Node

LENGTH = 5000
SEED = 21


class Balanced:
    """Whatever is behind a URL; its clock goes by itself."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.clock = ManualClock()


class Going:
    """A node whose clock goes, too: a fence says when a claim was made, and two are at two times."""

    def __init__(self, node: Node) -> None:
        self.http = node.http
        self.clock = Ticking(node.clock)


class Ticking(ManualClock):
    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def advance(self, seconds: float) -> None:
        self._clock.advance(0.001)


def test_three_nodes_behind_the_balancer_answer_as_one(deployment: Deployment) -> None:
    wait_until_it_serves(deployment.url)
    log = timeless(random_log(SEED, LENGTH))
    with Node(Settings(), ModelStorage()) as node:
        right = without_time(Player([Going(node)]).answers(log))
    with connect(deployment.url) as http:
        answers = without_time(Player([Balanced(http)]).answers(log))
    at = first_difference(right, answers)
    if at is not None:
        pytest.fail(f"{log[at]}\n\nexpected\n{right[at]}\n\ngot\n{answers[at]}")
