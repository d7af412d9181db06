"""Any node, same answer (P7): a random log of requests gets the same answers from one node, from
three in turn, and from every store; ids, markers and fences go by when they first came up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from difflib import unified_diff
from pathlib import Path

import pytest

from queueing.config import Settings
from queueing.storage.contract import Storage
from tests.model import ModelStorage
from tests.replay.log import Step, random_log
from tests.replay.player import Player, as_json, fewest_steps, first_difference
from tests.support.node import Node
from tests.support.stores import Place, Store

LENGTH = 5000
SEED = 20
MODEL = Store("model", None)


@contextmanager
def nodes(store: Store, place: Place, count: int) -> Iterator[Sequence[Node]]:
    """Nodes over one store."""
    with ExitStack() as stack:
        yield [stack.enter_context(Node(Settings(), store.open(place))) for _ in range(count)]


@pytest.fixture(scope="session")
def log() -> list[Step]:
    return random_log(SEED, LENGTH)


@pytest.fixture(scope="session")
def right(log: list[Step]) -> list[str]:
    with Node(Settings(), ModelStorage()) as node:
        return Player([node]).answers(log)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [1, 3])
def test_the_same_requests_get_the_same_answers(
    replayed_store: Store, place: Place, count: int, log: list[Step], right: list[str]
) -> None:
    with nodes(replayed_store, place, count) as served:
        answers = Player(served).answers(log)
        at = first_difference(right, answers)
        if at is not None:
            pytest.fail(explain(log[: at + 1], lambda: Player(served)))


def explain(log: list[Step], again: Callable[[], Player]) -> str:
    """The fewest of these steps after which the last answers differ, and how."""

    def told(steps: list[Step]) -> tuple[list[str], list[str]]:
        with Node(Settings(), ModelStorage()) as node:
            return Player([node]).answers(steps), again().answers(steps)

    few = fewest_steps(log, lambda steps: first_difference(*told(steps)) is not None)
    right, wrong = told(few)
    at = first_difference(right, wrong)
    if at is None:
        return "the difference did not come again: " + "\n".join(map(str, log[-20:]))
    differences = unified_diff(
        as_json(right[at]).splitlines(), as_json(wrong[at]).splitlines(), "model", "store", n=3
    )
    return "\n".join([*map(str, few[: at + 1]), *differences])


def test_a_log_says_everything(log: list[Step], right: list[str]) -> None:
    """What is compared is not all refusals: each status that the API has comes up, often enough."""
    statuses = Counter((step.method, answer[:3]) for step, answer in zip(log, right, strict=True))
    for method, status, least in [
        ("POST", "201", 1000), ("POST", "204", 100), ("POST", "400", 200), ("GET", "200", 800),
        ("GET", "404", 50), ("GET", "400", 50), ("DELETE", "204", 300), ("DELETE", "200", 30),
        ("DELETE", "400", 50), ("DELETE", "403", 3), ("PATCH", "204", 20), ("PATCH", "404", 20),
        ("PUT", "201", 5), ("PUT", "204", 10), ("PUT", "400", 10), ("PATCH", "200", 10),
    ]:  # fmt: skip
        assert statuses[method, status] >= least, (method, status, statuses.most_common())
    assert not [pair for pair in statuses if pair[1] >= "500"]


class Forgetful(ModelStorage):
    """Forgets the third message of a post."""

    def __init__(self) -> None:
        super().__init__()
        whole = self.messages.post
        self.messages.post = (  # type: ignore[method-assign]  # it is to be broken
            lambda queue, drafts, **kw: whole(queue, drafts[:2], **kw)
        )


def test_a_store_that_answers_otherwise_is_shown_by_few_steps(log: list[Step]) -> None:
    broken: Storage = Forgetful()
    with Node(Settings(), broken) as node:
        text = explain(log[:300], lambda: Player([node]))
    assert "model" in text
    assert text.count("X-Project-ID=") == 1, text


def test_the_log_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    assert random_log(1, 50) == random_log(1, 50) != random_log(2, 50)
