"""Every query has its index. What a server says of its plans is asked for where it has `explain`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pymongo
import pytest
from pymongo.errors import OperationFailure
from pymongo.monitoring import CommandStartedEvent

from queueing.core.clock import ManualClock
from queueing.core.models import DeadLetterRule, Draft, IdempotencyKey, QueueRef
from queueing.storage.contract import Announces
from queueing.storage.mongodb.connection import COMMAND_NOT_FOUND
from queueing.storage.mongodb.indexes import INDEXES
from queueing.storage.registry import open_storage
from tests.contract.subject import TTL, Subject
from tests.faults.mongodb.commands import Commands
from tests.support.engines import mongodb
from tests.support.engines.mongodb import Process, in_database

RULE = DeadLetterRule("dead", max_claims=1)


@pytest.fixture
def any_uri(engine: Process) -> str:
    """That of a real server, where there is one."""
    given = os.environ.get(mongodb.GIVEN)
    return in_database(given or engine.uri, f"plans-{os.getpid()}")


@pytest.fixture
def database(any_uri: str) -> Iterator[Any]:
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(any_uri)
    name = client.get_default_database().name
    yield client[name]
    client.drop_database(name)
    client.close()


def run_every_verb(q: Subject) -> None:
    """On a queue with messages in every state."""
    first = q.post_number(30)
    q.post_number(20, delay=60)
    q.post_number(20, delay=1)
    q.release(q.take(3, rule=RULE).id)
    claim = q.take(5, rule=RULE)
    q.claim(5, rule=RULE)
    q.clock.advance(2)
    key = IdempotencyKey("key", b"d" * 32, q.now + 600)
    q.post_drafts([Draft(b"a", TTL)], key=key)
    q.post_drafts([Draft(b"a", TTL)], key=key)
    q.held(claim.id)
    q.renew(claim.id)
    q.release(claim.id)
    q.pop(2)
    q.get(*first[:5])
    for claimed in [False, True]:
        for delayed in [False, True]:
            q.page(limit=5, claimed=claimed, delayed=delayed, hide="somebody")
    q.stats()
    q.delete(first[20])
    q.delete_many(*first[21:23])
    q.sibling("dead").accept(q.pile())
    q.clear(q.pile())
    q.create()
    q.replace(b'{"a":1}', expected="")
    q.storage.queues.page(q.ref.project, after="", limit=10)
    q.storage.queues.count(q.ref.project)
    q.storage.piles(limit=10)
    q.outlook()
    assert isinstance(q.storage, Announces)
    q.storage.follow(q.ref)
    q.purge()
    q.storage.collect(now=q.now, limit=10)
    q.drop()


def questions(event: CommandStartedEvent) -> Iterator[dict[str, Any]]:
    """The parts of a command that look for documents, as commands that can be explained."""
    command = dict(event.command)
    collection = command.get(event.command_name)
    if event.command_name == "find":
        kept = ("find", "filter", "sort", "limit", "projection", "hint")
        yield {name: command[name] for name in kept if name in command}
    elif event.command_name == "aggregate":
        yield {"aggregate": collection, "pipeline": command["pipeline"], "cursor": {}}
    elif event.command_name == "findAndModify":
        yield {"find": collection, "filter": command["query"]}
    elif event.command_name in ("update", "delete"):
        for one in command[f"{event.command_name}s"]:
            yield {"find": collection, "filter": one["q"]}


def test_the_indexes_are_made_where_they_are_missing(any_uri: str, database: Any) -> None:
    for _ in range(2):
        open_storage(any_uri, timeout_seconds=30.0).close()
    found = {index["name"]: index for index in database["entries"].list_indexes()}
    for index in INDEXES:
        there = found[index.document["name"]]
        assert dict(there["key"]) == dict(index.document["key"])
        assert there.get("partialFilterExpression") == index.document.get("partialFilterExpression")


def test_every_question_names_the_whole_shard_key_but_those_that_are_for_all_queues(
    any_uri: str, database: Any, commands: Commands
) -> None:
    asked = asked_by_every_verb(any_uri, commands)
    assert asked
    for question in asked:
        wanted = question.get("filter") or question["pipeline"][0]["$match"]
        branches = wanted.get("$or") if set(wanted) == {"$or"} else [wanted]
        for branch in branches:
            if not {"p", "q"} <= set(branch):
                # Listing a project's queues; piles, sweeping and chores, which no request waits for.
                assert "alive" in branch or set(branch) & {"x", "chore"} or branch == {"s": 0}
            elif "alive" not in branch:
                # One question is for all queues that are followed.
                assert is_equal_to(branch["p"]) and is_equal_to(branch["q"])


def is_equal_to(wanted: Any) -> bool:
    return isinstance(wanted, str) or set(wanted) == {"$in"}


def test_no_question_scans(any_uri: str, database: Any, commands: Commands) -> None:
    asked = asked_by_every_verb(any_uri, commands)
    if not has_explain(database):
        return
    for question in asked:
        plan = database.command("explain", question, verbosity="queryPlanner")
        stages = set(stages_of(plan))
        assert "COLLSCAN" not in stages, (question, plan)
        # What is due but not brought back yet is sorted by who lists it; a claim's few messages are.
        few = "due" in str(question.get("filter")) and question.get("sort") == {"seq": 1}
        assert few or "SORT" not in stages, (question, plan)


def asked_by_every_verb(uri: str, commands: Commands) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = []
    storage = open_storage(uri, timeout_seconds=30.0)

    def note(event: CommandStartedEvent) -> None:
        asked.extend(questions(event))

    commands.before = note
    try:
        run_every_verb(Subject(storage, QueueRef("project", "q"), ManualClock()))
    finally:
        commands.before = None
        storage.close()
    return asked


def has_explain(database: Any) -> bool:
    """The server of the tests has none."""
    try:
        database.command("explain", {"find": "entries", "filter": {}})
    except OperationFailure as refused:
        if refused.code != COMMAND_NOT_FOUND:
            raise
        return False
    return True


def stages_of(plan: Any) -> Iterator[str]:
    if isinstance(plan, dict):
        if isinstance(plan.get("stage"), str):
            yield plan["stage"]
        for part in plan.values():
            yield from stages_of(part)
    elif isinstance(plan, list):
        for part in plan:
            yield from stages_of(part)
