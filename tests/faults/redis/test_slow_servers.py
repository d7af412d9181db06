"""Answers that come late, or after their request was sent again: each step is done once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.exceptions import ResponseError

from queueing.core.clock import ManualClock
from queueing.core.models import Claimed, QueueRef, request_token
from queueing.storage.redis import driver
from queueing.storage.redis.driver import RedisStorage
from tests.conftest import LONG
from tests.contract.subject import Subject, bodies, ids
from tests.faults.redis.load import Load
from tests.faults.redis.proxy import Proxy
from tests.support.engines.redis import Process, talk, wait_for
from tests.support.freezing import freeze, thaw

pytestmark = pytest.mark.timeout(7200 if LONG else 600)

SLOW_SCRIPTS = 1_000


@pytest.fixture
def storage(proxy: Proxy) -> Iterator[RedisStorage]:
    """Asks again what is not answered within 0.2 s, for a minute."""
    uri = f"redis://127.0.0.1:{proxy.port}?answer_timeout_seconds=0.2"
    storage = driver.open(uri, timeout_seconds=60)
    yield storage
    storage.close()


def test_a_thousand_slow_scripts_are_each_done_once(victim: Process, project: str) -> None:
    """The server stops again and again, wherever it is, and for longer than a request waits."""
    uri = f"{victim.uri}?answer_timeout_seconds=0.03"
    storage = driver.open(uri, timeout_seconds=60)
    with Load([storage], QueueRef(project, "q"), operations=SLOW_SCRIPTS, threads=16) as load:
        while load.answered < SLOW_SCRIPTS and not load.errors:
            freeze(victim.pid)
            time.sleep(0.07)  # all 16 ask a second time meanwhile, and a third
            answered = load.answered
            thaw(victim.pid)
            wait_for(lambda n=answered: load.answered > n + 20 or load.errors, "some answers")
    assert load.findings() == []
    calls = victim.command("INFO", "commandstats")["cmdstat_evalsha"]["calls"]
    assert calls > load.answered + SLOW_SCRIPTS / 4, "few requests were sent twice"
    storage.close()


def test_a_script_that_makes_the_server_busy_is_waited_for(
    server: Process, storage: RedisStorage, proxy: Proxy, q: Subject
) -> None:
    """After a while a server with a long script answers BUSY to everybody else."""
    q.post(b"a")
    server.command("CONFIG", "SET", "lua-time-limit", "50")

    def never_end() -> None:
        with pytest.raises(ResponseError, match="killed"):
            server.command("EVAL", "while true do end", 0)

    with ThreadPoolExecutor(2) as threads:
        blocker = threads.submit(never_end)
        wait_for(lambda: not server.answers(), "the server to be busy")
        asked = proxy.round_trips
        popped = threads.submit(q.pop)
        wait_for(lambda: proxy.round_trips - asked > 1, "it to be asked again")
        server.command("SCRIPT", "KILL")
        assert bodies(popped.result()) == [b"a"]
        blocker.result()


# The first request arrives after the second, which was sent when the first was not answered: as from
# a network that kept it for a while. The answer to the second was acted upon by then.


def test_a_post_that_arrives_late_after_its_messages_were_consumed_posts_nothing(
    proxy: Proxy, q: Subject
) -> None:
    q.create()
    proxy.hold_request()
    q.post(b"a", b"b")
    assert bodies(q.pop(5)) == [b"a", b"b"]
    arrive_late(proxy, q)
    assert q.everything() == []


def test_a_post_that_arrives_late_after_the_queue_was_deleted_makes_no_queue(
    proxy: Proxy, q: Subject
) -> None:
    q.create()
    proxy.hold_request()
    q.post(b"a")
    q.drop()
    arrive_late(proxy, q)
    assert not q.exists()


def test_a_claim_that_arrives_late_after_its_end_claims_nothing(
    proxy: Proxy, q: Subject, clock: ManualClock
) -> None:
    q.post(b"a", b"b")
    proxy.hold_request()
    claim = q.take(1)
    q.release(claim.id)
    arrive_late(proxy, q)
    assert q.counts() == (2, 0)
    proxy.hold_request()
    claim = q.take(1)
    q.delete(claim.messages[0].id, claim.id)
    arrive_late(proxy, q)
    assert q.counts() == (1, 0)


def test_a_claim_that_arrives_late_after_the_queue_was_made_anew_claims_nothing(
    proxy: Proxy, q: Subject
) -> None:
    q.post(b"a")
    proxy.hold_request()
    q.take(1)
    q.drop()
    q.post(b"new")
    arrive_late(proxy, q)
    assert q.counts() == (1, 0)


def test_a_pop_that_arrives_late_pops_nothing_more(proxy: Proxy, q: Subject) -> None:
    q.post(b"a", b"b")
    proxy.hold_request()
    assert bodies(q.pop(1)) == [b"a"]
    arrive_late(proxy, q)
    assert bodies(q.everything()) == [b"b"]


def test_a_deletion_that_arrives_late_deletes_no_queue_made_since(proxy: Proxy, q: Subject) -> None:
    q.post(b"a")
    proxy.hold_request()
    q.drop()
    q.post(b"new")
    arrive_late(proxy, q)
    assert bodies(q.everything()) == [b"new"]


def test_a_purge_that_arrives_late_removes_nothing_posted_since(proxy: Proxy, q: Subject) -> None:
    q.post(b"a")
    proxy.hold_request()
    q.purge()
    q.post(b"new")
    arrive_late(proxy, q)
    assert bodies(q.everything()) == [b"new"]


def test_a_release_that_arrives_late_ends_no_later_claim(proxy: Proxy, q: Subject) -> None:
    q.post(b"a")
    claim = q.take(1)
    proxy.hold_request()
    q.release(claim.id)
    q.take(1)
    arrive_late(proxy, q)
    assert q.counts() == (0, 1)


def test_a_creation_that_arrives_late_makes_no_queue_that_was_deleted_since(
    proxy: Proxy, q: Subject
) -> None:
    proxy.hold_request()
    assert q.create()
    q.drop()
    arrive_late(proxy, q)
    assert not q.exists()


# The same token again, when what it made is gone.


def test_a_post_is_told_by_its_token_when_its_messages_are_gone(q: Subject) -> None:
    token = request_token()
    first = q.post(b"a", token=token)
    q.delete(first[0])
    assert q.post(b"a", token=token) == first
    assert q.everything() == []
    q.purge()
    q.drop()
    assert q.post(b"a", token=token) == first
    assert not q.exists()


def test_a_pop_gives_what_it_gave_at_first(q: Subject) -> None:
    q.post(b"a", b"b", b"c")
    token = request_token()
    first = q.pop(2, token=token)
    q.purge()
    q.drop()
    assert q.pop(2, token=token) == first


def test_a_claim_is_told_by_its_token_when_nothing_is_left_under_it(q: Subject) -> None:
    q.post(b"a", b"b")
    token = request_token()
    first = q.take(1, token=token)
    assert q.take(1, token=token) == first
    q.delete_many(*ids(first.messages))
    assert q.claim(1, token=token) == Claimed(first._replace(messages=()))
    q.release(token)
    assert q.claim(1, token=token) == Claimed(first._replace(messages=()))
    q.drop()
    q.post(b"new")
    assert q.claim(1, token=token) == Claimed(first._replace(messages=()))
    assert q.counts() == (1, 0)


def arrive_late(proxy: Proxy, q: Subject) -> None:
    """Let the held request go, and return when the server has dealt with it."""
    assert proxy.fulfilled > 0
    with talk(proxy.target) as client:
        before = client.info("commandstats")
        proxy.let_go()
        wait_for(lambda: calls(client.info("commandstats")) > calls(before), "it to arrive")


def calls(stats: dict[str, dict[str, int]]) -> int:
    return stats["cmdstat_evalsha"]["calls"]
