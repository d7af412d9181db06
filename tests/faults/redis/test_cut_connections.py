"""A connection that is cut within a request or an answer, at every verb: done once, answered right."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import pytest

from queueing.core.clock import ManualClock
from queueing.core.models import (
    DeadLetterRule,
    Draft,
    IdempotencyKey,
    message_id,
    request_token,
)
from queueing.storage.contract import Storage
from queueing.storage.redis.driver import RedisStorage
from tests.contract.conversation import conversation
from tests.contract.machine import Different, Machine, Opened, outcome, unnamed
from tests.contract.subject import Subject
from tests.contract.test_machine import EXAMPLES, PARTS, SEED
from tests.faults.redis.proxy import Proxy
from tests.model import ModelStorage

NEW = b'{"a":1}'
CONVERSATIONS = EXAMPLES // 2
FIRST, SECOND = request_token(), request_token()
CLAIM, OTHER_CLAIM = request_token(), request_token()
RULE = DeadLetterRule("dead", max_claims=1)


class Verb(NamedTuple):
    """Something to ask; `before` makes the queue that it is asked of."""

    name: str
    ask: Callable[[Subject, str], Any]
    before: Callable[[Subject], Any]


def posted(q: Subject) -> None:
    q.post_drafts([Draft(b"%d" % n, 3600) for n in range(5)], token=FIRST)
    q.post_drafts([Draft(b"late", 3600, 60)], token=SECOND)


def claimed(q: Subject) -> None:
    posted(q)
    q.claim(2, token=CLAIM)


def buried(q: Subject) -> None:
    posted(q)
    q.claim(1, rule=RULE, token=CLAIM)
    q.release(CLAIM)
    q.claim(1, rule=RULE, token=OTHER_CLAIM)


def nothing(q: Subject) -> None:
    pass


def accept(q: Subject, token: str) -> None:
    other = q.sibling("dead")
    other.accept(q.pile())


KEY = IdempotencyKey("key", b"digest" * 5, 2e9)

VERBS = [
    Verb("create", lambda q, token: q.create(NEW, token=token), nothing),
    Verb("fetch", lambda q, _: q.storage.queues.fetch(q.ref), posted),
    Verb("replace", lambda q, token: q.replace(NEW, expected="", token=token), posted),
    Verb("delete queue", lambda q, _: q.drop(), claimed),
    Verb("list", lambda q, _: q.storage.queues.page(q.ref.project, after="", limit=9), posted),
    Verb("count", lambda q, _: q.storage.queues.count(q.ref.project), posted),
    Verb("post", lambda q, token: q.post(b"x", b"y", token=token), posted),
    Verb("post to a missing queue", lambda q, token: q.post(b"x", token=token), nothing),
    Verb(
        "post with a key",
        lambda q, token: q.post_drafts([Draft(b"x", 60)], token=token, key=KEY),
        posted,
    ),
    Verb("get", lambda q, _: q.get(message_id(FIRST, 0), message_id(SECOND, 0)), claimed),
    Verb("page", lambda q, _: q.everything(), claimed),
    Verb("delete", lambda q, _: q.delete(message_id(FIRST, 4)), claimed),
    Verb("delete with a claim", lambda q, _: q.delete(message_id(FIRST, 0), CLAIM), claimed),
    Verb(
        "delete several",
        lambda q, _: q.delete_many(*(message_id(FIRST, n) for n in range(4))),
        claimed,
    ),
    Verb("pop", lambda q, token: q.pop(2, token=token), posted),
    Verb("purge", lambda q, _: q.purge(), claimed),
    Verb("stats", lambda q, _: q.stats(), claimed),
    Verb("claim", lambda q, token: q.claim(2, token=token), posted),
    Verb(
        "claim and bury",
        lambda q, token: unnamed(list(q.claim(2, rule=RULE, token=token).dead_letters)),
        buried,
    ),
    Verb("look at a claim", lambda q, _: q.held(CLAIM), claimed),
    Verb("renew", lambda q, _: q.renew(CLAIM, ttl=600), claimed),
    Verb("release", lambda q, _: q.release(CLAIM), claimed),
    Verb("dead letters", lambda q, _: unnamed(q.pile()), buried),
    Verb("accept dead letters", accept, buried),
    Verb("clear dead letters", lambda q, _: q.clear(q.pile()), buried),
    Verb("piles", lambda q, _: q.ref in q.storage.piles(limit=1000), buried),
    Verb("ping", lambda q, _: q.storage.ping(), nothing),
]

CUTS: dict[str, Callable[[Proxy], Any]] = {
    "before the request": lambda proxy: proxy.cut_request(0),
    "after the first byte of the request": lambda proxy: proxy.cut_request(1),
    "within the request": lambda proxy: proxy.cut_request(20),
    "before the answer": lambda proxy: proxy.cut_answer(0),
    "after the first byte of the answer": lambda proxy: proxy.cut_answer(1),
    "three times before the answer": lambda proxy: [proxy.cut_answer(0) for _ in range(3)],
}


def all_there_is(q: Subject) -> list[Any]:
    """What can be seen of the queue and its dead-letter queue."""
    seen: list[Any] = []
    for each in (q, q.sibling("dead")):
        seen += [each.everything(), each.stats(), each.exists(), unnamed(each.pile())]
    seen.append(outcome(lambda _: q.held(CLAIM), q.storage))
    return seen


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("verb", VERBS, ids=[verb.name for verb in VERBS])
def test_a_cut_connection_changes_no_answer(
    q: Subject, proxy: Proxy, clock: ManualClock, verb: Verb, cut: str
) -> None:
    oracle = Subject(ModelStorage(), q.ref, clock)
    token = request_token()
    for each in (q, oracle):
        verb.before(each)
    CUTS[cut](proxy)
    answer = outcome(lambda _: verb.ask(q, token), q.storage)
    assert proxy.fulfilled > 0, "nothing was cut"
    assert answer == outcome(lambda _: verb.ask(oracle, token), oracle.storage)
    assert all_there_is(q) == all_there_is(oracle)


class CutMachine(Machine):
    """The machine of the contract suite, over a connection that is cut at every second step."""

    def __init__(self, opened: Opened, proxy: Proxy, random: Random) -> None:
        super().__init__(opened, watchful=False)
        self._proxy, self._random = proxy, random

    def both(self, ask: Any) -> Any:
        if self._random.random() < 0.5:
            self._random.choice(
                [self._proxy.cut_request, self._proxy.cut_answer, self._proxy.cut_answer]
            )(self._random.randrange(400))
        return super().both(ask)


class OpenedOnce:
    """The connections are what is in doubt, not the storage: that stays as it is."""

    def __init__(self, storage: RedisStorage, clock: ManualClock) -> None:
        self.storage: Storage = storage
        self.clock = clock

    def reopen(self) -> None: ...


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(PARTS))
def test_connections_cut_at_random_change_no_answer_of_any_conversation(
    storage: RedisStorage, proxy: Proxy, clock: ManualClock, part: int
) -> None:
    for seed in range(SEED + part, SEED + CONVERSATIONS, PARTS):
        machine = CutMachine(OpenedOnce(storage, clock), proxy, Random(seed))
        try:
            machine.hold(conversation(seed, length=20))
        except Different as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert proxy.fulfilled > 0
