"""What things cost: round trips, commands within a script, bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import pytest

from queueing.core.clock import ManualClock
from queueing.core.models import DeadLetterRule, QueueRef
from queueing.storage.redis import driver, scripts
from tests.contract.subject import Subject
from tests.faults.redis.proxy import Proxy
from tests.support.engines.redis import Process, talk

CLIENT = "3381af92-2b9e-11e3-b191-71861300734c"
BODY = b'"' + b"x" * 98 + b'"'

COMMANDS = re.compile(r"^-- Cost +([0-9]+) commands", re.MULTILINE)

Ask = Callable[[Subject], Any]

VERBS: dict[str, Ask] = {
    "create": lambda q: q.sibling("other").create(b'{"a":1}'),
    "fetch": lambda q: q.exists(),
    "post": lambda q: q.post(b"x"),
    "post of ten": lambda q: q.post(*[b"x"] * 10),
    "claim": lambda q: q.claim(10, rule=DeadLetterRule("dead", 5)),
    "pop": lambda q: q.pop(10),
    "get": lambda q: q.get(q.known),
    "page": lambda q: q.page(limit=10),
    "page of all kinds": lambda q: q.page(limit=10, claimed=True, delayed=True),
    "delete": lambda q: q.delete(q.known),
    "delete several": lambda q: q.delete_many(q.known, "absent"),
    "stats": lambda q: q.stats(),
    "outlook": lambda q: q.outlook(),
    "dead letters": lambda q: q.pile(),
    "release": lambda q: q.release(q.claimed),
    "renew": lambda q: q.renew(q.claimed),
    "look at a claim": lambda q: q.held(q.claimed),
    "purge": lambda q: q.purge(),
    "delete queue": lambda q: q.drop(),
    "count": lambda q: q.storage.queues.count(q.ref.project),
}


class Prepared(Subject):
    """A queue with a message and a claim to ask about."""

    known: str
    claimed: str


@pytest.fixture
def proxied(server: Process, project: str, clock: ManualClock) -> Iterator[tuple[Proxy, Subject]]:
    with Proxy(server.port) as proxy:
        storage = driver.open(f"redis://127.0.0.1:{proxy.port}", timeout_seconds=30)
        yield proxy, Subject(storage, QueueRef(project, "q"), clock)
        storage.close()


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_one_round_trip(proxied: tuple[Proxy, Subject], verb: str) -> None:
    proxy, q = proxied
    prepare(q, 1)
    before = proxy.round_trips
    VERBS[verb](q)
    assert proxy.round_trips - before == 1


def test_a_listing_is_two_round_trips(proxied: tuple[Proxy, Subject]) -> None:
    proxy, q = proxied
    for name in ("a", "b", "c"):
        q.sibling(name).create()
    before = proxy.round_trips
    assert len(q.storage.queues.page(q.ref.project, after="", limit=2)) == 2
    assert proxy.round_trips - before == 2


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_runs_as_many_commands_on_a_deep_queue_as_on_a_shallow_one(
    server: Process, q: Subject, verb: str
) -> None:
    shallow = q.sibling("shallow")
    prepare(shallow, 1)
    prepare(q, 40)
    few = commands_of(server, lambda: VERBS[verb](shallow))
    shallow.sibling("other").drop()
    many = commands_of(server, lambda: VERBS[verb](q))
    assert many == few


def test_the_verbs_of_a_cycle_run_as_many_commands_as_their_scripts_say(
    server: Process, q: Subject
) -> None:
    q.post(b"first")
    q.take(1)
    found = {"post": commands_of(server, lambda: q.post(b"x"))}
    claims: list[Any] = []
    found["claim"] = commands_of(server, lambda: claims.append(q.take(10)))
    (message,) = claims[0].messages
    found["delete"] = commands_of(server, lambda: q.delete(message.id, claims[0].id))
    found = {verb: number - 1 for verb, number in found.items()}  # EVALSHA
    said = {verb: int(COMMANDS.findall(source(verb))[0]) for verb in found}
    assert found == said


def test_a_step_looks_for_what_is_due_only_when_something_is(server: Process, q: Subject) -> None:
    q.post(b"late", delay=30)
    q.post_number(30)
    q.take(1)
    before = commands_of(server, lambda: q.take(1))
    q.clock.advance(31)
    looking = commands_of(server, lambda: q.take(1))
    after = commands_of(server, lambda: q.take(1))
    assert before == after < looking


def test_no_key_grows_but_with_what_is_in_the_queue(server: Process, q: Subject) -> None:
    """After everything is over, swept and deleted, what is left goes by itself."""
    prepare(q, 3)
    q.take(10, rule=DeadLetterRule("dead", 1))
    q.clock.advance(100_000)
    while q.storage.collect(now=q.now, limit=1000):
        pass
    q.drop()
    with talk(server.port) as client:
        left = list(client.scan_iter(f"*{q.ref.project}*"))
        assert all(client.ttl(key) > 0 for key in left), left


def test_a_message_of_100_bytes_takes_at_most_600(server: Process, q: Subject) -> None:
    number = 5_000
    with talk(server.port) as client:
        before = client.info("memory")["used_memory"]
        for _ in range(number):
            q.post(BODY, client=CLIENT)
        with_tokens = client.info("memory")["used_memory"]
        for key in client.scan_iter("*tokens*"):
            client.unlink(key)  # as a minute later
        after = client.info("memory")["used_memory"]
    assert (after - before) / number <= 600
    assert (with_tokens - after) / number <= 100


def prepare(q: Subject, scale: int) -> None:
    """Free, delayed and claimed messages; one of them and a claim are known."""
    q.post_number(50 * scale)
    q.post(*[b"late"] * 25 * scale, delay=600)
    for _ in range(5 * scale):
        q.take(5)
    object.__setattr__(q, "claimed", q.take(5).id)
    object.__setattr__(q, "known", q.page(limit=1)[0].id)


def commands_of(server: Process, ask: Callable[[], Any]) -> int:
    """How many commands the server ran, those within scripts too."""
    before = _calls(server)
    ask()
    return _calls(server) - before


def source(verb: str) -> str:
    return files(scripts).joinpath(f"{verb}.lua").read_text()


def _calls(server: Process) -> int:
    with talk(server.port) as client:
        stats = client.info("commandstats")
    return sum(it["calls"] for name, it in stats.items() if name != "cmdstat_info")
