"""What each verb costs in round trips, where nothing is in its way. The docs quote these numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from queueing.core.models import DeadLetterRule, Draft, IdempotencyKey
from tests.contract.subject import TTL, Subject
from tests.faults.mongodb.commands import Commands

RULE = DeadLetterRule("dead", max_claims=1)


def key(q: Subject, name: str = "key") -> IdempotencyKey:
    return IdempotencyKey(name, b"d" * 32, q.now + 600)


@pytest.mark.parametrize("number", [1, 20, 900])
def test_a_post_costs_two_however_many_messages(
    q: Subject, commands: Commands, number: int
) -> None:
    q.create()
    with commands.counted() as names:
        q.post_drafts([Draft(b"x" * 100, TTL, number % 2)] * number)
    assert names == ["findAndModify", "update"]


def test_a_post_with_a_key_costs_three_and_its_replay_one(q: Subject, commands: Commands) -> None:
    q.create()
    with commands.counted() as names:
        q.post(b"a", b"b", key=key(q))
    assert names == ["find", "findAndModify", "update"]
    with commands.counted() as names:
        q.post(b"a", b"b", key=key(q))
    assert names == ["find"]


@pytest.mark.parametrize("limit", [1, 10, 20])
@pytest.mark.parametrize("rule", [None, RULE])
def test_a_claim_costs_three(
    q: Subject, commands: Commands, limit: int, rule: DeadLetterRule | None
) -> None:
    q.post_number(50)
    q.post_number(50, delay=60)
    q.take(5)
    q.clock.advance(1)
    with commands.counted() as names:
        assert len(q.take(limit, rule=rule).messages) == limit
    assert names == ["find", "findAndModify", "update"]


def test_numbers_where_another_clock_is_ahead_cost_one_or_two_more(
    q: Subject, commands: Commands
) -> None:
    q.post_number(5)
    q.take(1)
    q.clock.advance(-0.01)
    with commands.counted() as names:
        q.take(1)
    assert names == ["find", "findAndModify", "findAndModify", "update"]
    with commands.counted() as names:
        q.post(b"a")
    assert names == ["findAndModify", "find", "findAndModify", "update"]


def test_a_claim_that_finds_nothing_costs_two(q: Subject, commands: Commands) -> None:
    q.post(b"late", delay=60)
    with commands.counted() as names:
        assert q.claim().claim is None
    assert names == ["find", "find"]


def test_a_claim_that_brings_back_what_is_due_costs_six(q: Subject, commands: Commands) -> None:
    q.post_number(50, delay=60)
    q.clock.advance(60)
    with commands.counted() as names:
        q.take()
    assert names == ["find", "find", "update", "find", "findAndModify", "update"]


def test_a_claim_that_buries_costs_three_more_and_one_for_the_pile(
    q: Subject, commands: Commands
) -> None:
    q.post_number(50)
    q.release(q.take(30, rule=RULE).id)
    q.clock.advance(1)
    with commands.counted() as names:
        claimed = q.claim(10, rule=RULE)
    assert len(claimed.dead_letters) == 30
    mark = ["findAndModify", "update"]
    assert names == ["find", *mark, "find", *mark, "find"]


ONE = {
    "delete": lambda q, ids, claim: q.delete(ids[9]),
    "delete under a claim": lambda q, ids, claim: q.delete(ids[0], claim),
    "delete several": lambda q, ids, claim: q.delete_many(*ids[5:9]),
    "get": lambda q, ids, claim: q.get(*ids),
    "release": lambda q, ids, claim: q.release(claim),
    "metadata": lambda q, ids, claim: q.exists(),
    "create": lambda q, ids, claim: q.sibling("new").create(),
    "replace": lambda q, ids, claim: q.replace(b'{"a":1}', expected=""),
    "pile": lambda q, ids, claim: q.pile(),
}


@pytest.mark.parametrize("verb", ONE)
def test_these_cost_one(q: Subject, commands: Commands, verb: str) -> None:
    ids = q.post_number(10)
    claim = q.take(5).id
    step: Callable[[Subject, tuple[str, ...], str], object] = ONE[verb]
    with commands.counted() as names:
        step(q, ids, claim)
    assert len(names) == 1, names


def test_the_others_cost_what_they_cost(q: Subject, commands: Commands) -> None:
    ids = q.post_number(30)
    claim = q.take(5).id
    found = {}

    def count(verb: str, step: Callable[[], object]) -> None:
        with commands.counted() as names:
            step()
        found[verb] = len(names)

    count("pop", lambda: q.pop(5))
    count("page", lambda: q.page(limit=10))
    count("page of everything", lambda: q.page(limit=10, claimed=True, delayed=True))
    count("stats", q.stats)
    count("claim get", lambda: q.held(claim))
    count("renew", lambda: q.renew(claim))
    count("delete several under claims", lambda: q.delete_many(ids[0], claim_ids=[claim]))
    count("purge", q.purge)
    count("delete queue", q.drop)
    assert found == {
        "pop": 3,
        "page": 3,
        "page of everything": 2,
        "stats": 5,
        "claim get": 2,
        "renew": 3,
        "delete several under claims": 2,
        "purge": 4,
        "delete queue": 3,
    }
