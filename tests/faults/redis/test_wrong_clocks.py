"""Nodes on machines whose clocks are an hour fast and an hour slow, as clients see them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from uuid import uuid4

import pytest

from tests.api import test_many_clients
from tests.support import wrong_clock
from tests.support.engines.redis import Process
from tests.support.http import Api, connect
from tests.support.server import Server

HOUR = 3600

# The same promises as of nodes whose clocks are right.
test_each_message_is_delivered_once = (
    test_many_clients.test_each_message_is_delivered_once_and_shown_to_the_reader
)


@pytest.fixture(scope="module")
def urls(server: Process, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """One that is fast, one that is slow."""
    home = tmp_path_factory.mktemp("nodes")
    with node(home, server, "fast", HOUR) as fast, node(home, server, "slow", -HOUR) as slow:
        yield fast.url, slow.url


def node(home: Path, server: Process, name: str, ahead: int) -> Server:
    (home / name).mkdir()
    (directory,) = wrong_clock.__path__
    env = {"PYTHONPATH": directory, "WRONG_CLOCK_SECONDS": str(ahead)}
    patience = {"storage_timeout_seconds": "30"}
    return Server(home / name, storage=server.uri, env=env, **patience)


@pytest.fixture
def fast_and_slow(urls: tuple[str, str]) -> Iterator[tuple[Api, Api]]:
    project = uuid4().hex
    with connect(urls[0]) as fast, connect(urls[1]) as slow:
        yield Api(fast, project=project), Api(slow, project=project)


def test_their_clocks_are_wrong(fast_and_slow: tuple[Api, Api]) -> None:
    for api, ahead in zip(fast_and_slow, (HOUR, -HOUR), strict=True):
        says = parsedate_to_datetime(api.get("/").headers["Date"]).timestamp()
        assert abs(says - time.time() - ahead) < HOUR / 2


def test_a_message_lives_as_long_as_it_was_told_to(fast_and_slow: tuple[Api, Api]) -> None:
    """Neither is it over on a node that is fast, nor did it come from the future on one that is slow."""
    for one, other in (fast_and_slow, fast_and_slow[::-1]):
        one.say("q", "lives", ttl=300)
        (message,) = other.listed("q")
        assert 0 <= message["age"] < 200
        assert other.claim("q", ttl=300, grace=60)
        assert other.counts("q") == one.counts("q") == (0, 1, 1)
        one.delete("/v2/queues/q")


def test_a_claim_holds_on_every_node_until_it_ends(fast_and_slow: tuple[Api, Api]) -> None:
    for one, other in (fast_and_slow, fast_and_slow[::-1]):
        (id,) = one.say("q", "held", ttl=600)
        assert one.claim("q", ttl=300, grace=60)
        assert not other.claim("q", ttl=300, grace=60)
        assert other.delete(f"/v2/queues/q/messages/{id}").status_code == 403
        assert other.pop("q", 1) == []
        one.delete("/v2/queues/q")


def test_a_delay_is_waited_for_on_every_node(fast_and_slow: tuple[Api, Api]) -> None:
    for one, other in (fast_and_slow, fast_and_slow[::-1]):
        one.say("q", "late", ttl=600, delay=300)
        assert not other.claim("q", ttl=300, grace=60)
        assert not one.claim("q", ttl=300, grace=60)
        one.delete("/v2/queues/q")


def test_messages_are_in_the_order_in_which_they_were_posted(
    fast_and_slow: tuple[Api, Api],
) -> None:
    for number in range(10):
        fast_and_slow[number % 2].say("q", number)
    for api in fast_and_slow:
        assert api.bodies("q") == list(range(10))


def test_what_was_deleted_stays_deleted_and_what_was_released_is_free(
    fast_and_slow: tuple[Api, Api],
) -> None:
    fast, slow = fast_and_slow
    first, second = fast.say("q", "first", "second")
    claim = slow.claim("q", ttl=300, grace=60)
    fast.delete(f"/v2/queues/q/claims/{claim.id}")
    slow.delete(f"/v2/queues/q/messages/{first}")
    assert fast.bodies("q") == slow.bodies("q") == ["second"]
    assert [message["id"] for message in fast.pop("q", 2)] == [second]
