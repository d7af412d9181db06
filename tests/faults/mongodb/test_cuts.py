"""The connection is cut at every command of every verb, before, within and after it.

What is done is done once: the verb answers as if nothing had happened, and everything that can be
seen of the queue afterwards is what the model has.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pymongo.common
import pytest

from queueing.core.clock import ManualClock
from queueing.core.errors import ClaimNotFound, QueueingError
from queueing.core.models import (
    Claim,
    Claimed,
    DeadLetter,
    DeadLetterRule,
    Draft,
    IdempotencyKey,
    Message,
    QueueRef,
    message_id,
)
from queueing.storage.contract import Storage
from queueing.storage.registry import open_storage
from tests.contract.subject import TTL, Subject
from tests.faults.mongodb.conftest import TIMEOUT_SECONDS
from tests.model import ModelStorage
from tests.support.proxy import Proxy, Where

RULE = DeadLetterRule("dead", max_claims=1)
NEW = b'{"a":1}'

_queues = itertools.count()


def token(name: str) -> str:
    """Of the same request to the driver and to the model."""
    return name.encode().hex().ljust(32, "0")


def prepare(q: Subject) -> None:
    """Free, claimed, delayed, due and exhausted messages; a claim; a letter on the pile."""
    q.create(token=token("create"))
    q.post_drafts([Draft(b"%d" % n, TTL) for n in range(6)], token=token("first"))
    q.release(q.take(1, rule=RULE, token=token("exhaust")).id)
    q.claim(1, rule=RULE, token=token("bury"))
    q.clock.advance(1)
    q.claim(2, token=token("held"))
    q.post_drafts([Draft(b"late", TTL, 60), Draft(b"due", TTL, 5)], token=token("late"))
    q.release(q.take(1, rule=RULE, token=token("exhaust again")).id)
    q.clock.advance(10)


def id_of(index: int) -> str:
    return message_id(token("first"), index)


def key(q: Subject) -> IdempotencyKey:
    return IdempotencyKey("key", b"d" * 32, q.now + 600)


Verb = Callable[[Subject], Any]

VERBS: dict[str, Verb] = {
    "post": lambda q: q.post(b"new", token=token("new")),
    "post batch": lambda q: q.post(*[b"new"] * 5, token=token("new")),
    "post delayed": lambda q: q.post(b"new", delay=30, token=token("new")),
    "post with key": lambda q: q.post_drafts(
        [Draft(b"a", TTL), Draft(b"b", TTL)], token=token("new"), key=key(q)
    ),
    "post into a new queue": lambda q: q.sibling("fresh").post(b"new", token=token("new")),
    "claim": lambda q: q.claim(3, token=token("claim")),
    "claim with rule": lambda q: q.claim(3, rule=RULE, token=token("claim")),
    "claim of everything": lambda q: q.claim(100, token=token("claim")),
    "renew": lambda q: q.renew(token("held"), ttl=7200),
    "release": lambda q: q.release(token("held")),
    "pop": lambda q: q.pop(3, token=token("pop")),
    "delete": lambda q: q.delete(id_of(3)),
    "delete under claim": lambda q: q.delete(id_of(2), token("held")),
    "delete several": lambda q: q.delete_many(id_of(2), id_of(3)),
    "delete several under claims": lambda q: q.delete_many(
        id_of(1), id_of(2), claim_ids=[token("held")]
    ),
    "purge": lambda q: q.purge(),
    "create": lambda q: q.sibling("fresh").create(NEW, token=token("fresh")),
    "replace": lambda q: q.replace(NEW, expected="", token=token("replace")),
    "delete queue": lambda q: q.drop(),
    "accept": lambda q: q.sibling("dead").accept(q.pile()),
    "clear": lambda q: q.clear(q.pile()),
    "collect": lambda q: q.storage.collect(now=q.now, limit=100) and None,
    "get": lambda q: q.get(id_of(1), id_of(3)),
    "page": lambda q: q.page(),
    "stats": lambda q: q.stats(),
    "claim get": lambda q: q.held(token("held")),
}


def attempt(verb: Verb, q: Subject) -> Any:
    try:
        return verb(q)
    except QueueingError as refusal:
        return type(refusal), str(refusal)


def without_numbers(value: Any) -> Any:
    """Sequences and fences that were given out in vain leave gaps; order shows in the lists."""
    if isinstance(value, Message):
        return value._replace(sequence=0)
    if isinstance(value, Claim):
        return value._replace(fence=0, messages=without_numbers(value.messages))
    if isinstance(value, (Claimed, DeadLetter)):
        return type(value)(*map(without_numbers, value))
    if isinstance(value, dict):
        return {name: without_numbers(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return [without_numbers(part) for part in value]
    return value


def claim_or_none(q: Subject, name: str) -> Any:
    try:
        return q.held(token(name))
    except ClaimNotFound:
        return None


def seen(q: Subject) -> Any:
    """All that anybody can see of the queue and of those that the verbs make."""
    found: dict[str, Any] = {}
    for subject in [q, q.sibling("fresh"), q.sibling("dead")]:
        found[f"everything in {subject.ref.name}"] = subject.everything()
        found[f"counts of {subject.ref.name}"] = subject.counts()
        found[f"metadata of {subject.ref.name}"] = subject.exists() and subject.metadata
    found["page"] = q.page()
    found["pile"] = q.pile()
    found["claims"] = [claim_or_none(q, name) for name in ["held", "claim"]]
    found["queues"] = q.storage.queues.page(q.ref.project, after="", limit=10)
    return without_numbers(found)


def afterwards(q: Subject) -> Any:
    """And what comes of it when all claims and delays are over."""
    q.clock.advance(700)
    if q.exists():
        q = q.knowing(q.metadata.version)
    return without_numbers([q.page(), q.claim(100, token=token("last"))])


@pytest.fixture
def cut_storage(uri: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """Opened by way of the proxy; after a cut it looks for the server again at once."""
    monkeypatch.setattr(pymongo.common, "MIN_HEARTBEAT_INTERVAL", 0.01)
    host, _, database = uri.rpartition("/")
    through = f"mongodb://127.0.0.1:{proxy.port}/{database}"
    assert host
    opened = open_storage(through, timeout_seconds=TIMEOUT_SECONDS)
    yield opened
    opened.close()


@pytest.mark.parametrize("where", Where, ids=lambda where: where.value.replace(" ", "_"))
@pytest.mark.parametrize("name", VERBS)
def test_a_verb_that_is_cut_is_done_once(
    storage: Storage, cut_storage: Storage, proxy: Proxy, name: str, where: Where
) -> None:
    verb = VERBS[name]
    for passing in itertools.count():
        project = f"cut-{next(_queues)}"
        model = Subject(ModelStorage(), QueueRef(project, "q"), ManualClock())
        prepare(model)
        expected = attempt(verb, model)
        direct = Subject(storage, model.ref, ManualClock())
        prepare(direct)
        before = proxy.sprung
        proxy.arm(where, lambda request: b"entries" in request, passing=passing)
        cut = Subject(cut_storage, direct.ref, direct.clock)
        assert without_numbers(attempt(verb, cut)) == without_numbers(expected), passing
        proxy.disarm()
        assert seen(direct) == seen(model), passing
        assert afterwards(direct) == afterwards(model), passing
        if proxy.sprung == before:
            break
    assert passing > 0
