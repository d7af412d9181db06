"""Many who want the same messages: each comes to its turn, and they do not cost each other the more
the more they are.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

import pytest
from pymongo.monitoring import CommandStartedEvent

from queueing.core.models import QueueRef
from queueing.storage.contract import Storage
from tests.faults.mongodb.commands import COMMANDS
from tests.support.clients import Client, Process, context
from tests.support.history import Event, check

NODES = 3
THREADS = 6
TIMES = 10
LIMIT = 2
MESSAGES = NODES * THREADS * TIMES * LIMIT
PATIENCE_SECONDS = 120.0
QUEUE = QueueRef("project", "wanted")

MOST_ROUNDS = 12
"""Of one that takes turns with two others: it loses to each once, and to more where it was put out of
the line for being slow. Of three who do not take turns each loses two of three rounds, for ever.
"""


class Rounds:
    """How often each request of this process went round, and how often all of them did."""

    def __init__(self) -> None:
        self._own = threading.local()
        self.most = 0
        self.all = 0
        COMMANDS.before = self._note

    def request(self, ask: Callable[[], object]) -> None:
        self._own.rounds = 0
        ask()
        self.most = max(self.most, self._own.rounds)

    def _note(self, event: CommandStartedEvent) -> None:
        update = event.command.get("update")
        if event.command_name == "findAndModify":
            gives_out = "fence" in str(update) or "open" in str(update)
        else:
            gives_out = event.command_name == "update" and "'s': -2" in str(event.command)
        if gives_out:
            self._own.rounds = getattr(self._own, "rounds", 0) + 1
            self.all += 1


def crowd(client: Client, rng: random.Random, verb: str, start: Barrier, out: Queue) -> None:
    """Threads of one node that want the same at once, again and again."""
    rounds = Rounds()
    told: list[dict[int, Event]] = [{} for _ in range(THREADS)]
    failures: list[BaseException] = []

    def ask(number: int) -> None:
        name = f"{client.name}.{number}"
        one = Client(client.storage, QUEUE, name, told[number].__setitem__)
        start.wait(PATIENCE_SECONDS)
        try:
            for _ in range(TIMES):
                if verb == "claim":
                    rounds.request(lambda: one.claim(LIMIT))
                elif verb == "pop":
                    rounds.request(lambda: one.pop(LIMIT))
                else:
                    rounds.request(lambda: one.post(LIMIT))
        except BaseException as failure:
            failures.append(failure)
            raise

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    events = [event for own in told for event in own.values()]
    for number, event in enumerate(events):
        client._tell(number, event)
    out.put((rounds.most, rounds.all))


@pytest.fixture
def meet(uri: str) -> Callable[[str], tuple[list[Event], int, int]]:
    def met(verb: str) -> tuple[list[Event], int, int]:
        """What they were told, the most rounds of a request, and the rounds of all."""
        start, out = context().Barrier(NODES * THREADS), context().Queue()
        nodes = [Process(uri, QUEUE, f"node{n}", crowd, verb, start, out) for n in range(NODES)]
        history = [event for node in nodes for event in node.finish()]
        assert {node.exit_code for node in nodes} == {0}
        found = [out.get(timeout=PATIENCE_SECONDS) for _ in nodes]
        return history, max(most for most, _ in found), sum(total for _, total in found)

    return met


def ask_alone(storage: Storage, step: Callable[[Client], object]) -> list[Event]:
    told: dict[int, Event] = {}
    step(Client(storage, QUEUE, "alone", told.__setitem__))
    return list(told.values())


@pytest.mark.parametrize("verb", ["claim", "pop"])
def test_who_takes_where_many_do_comes_to_his_turn(
    storage: Storage, meet: Callable[[str], tuple[list[Event], int, int]], verb: str
) -> None:
    before = ask_alone(storage, lambda client: client.post(MESSAGES))
    history, most, rounds = meet(verb)
    after = ask_alone(storage, Client.rest)
    assert check(before + history + after) == []
    taken = [message.id for event in history for message in event.messages]
    assert len(taken) == len(set(taken)) == MESSAGES
    assert most <= MOST_ROUNDS
    assert rounds < NODES * THREADS * TIMES  # threads of one node go round together


def test_who_posts_where_many_do_comes_to_his_turn(
    storage: Storage, meet: Callable[[str], tuple[list[Event], int, int]]
) -> None:
    history, most, _ = meet("post")
    after = ask_alone(storage, Client.rest)
    assert check(history + after) == []
    assert len(after[0].messages) == MESSAGES
    assert most <= MOST_ROUNDS
