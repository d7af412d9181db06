"""Connections are kept at hand between requests, and looked at again once one of them fails."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from queueing.storage.redis.driver import RedisStorage
from tests.contract.subject import Subject
from tests.support.engines.redis import Process, talk

THREADS = 6


def in_use_at_once(storage: RedisStorage) -> None:
    """Make as many connections as there are threads."""
    (server,) = storage._connection.every_server()
    taken = Barrier(THREADS)

    def use() -> None:
        generation = server.generation
        connection = server.connection()
        taken.wait(30)
        server.keep(connection, generation)

    with ThreadPoolExecutor(THREADS) as threads:
        for done in [threads.submit(use) for _ in range(THREADS)]:
            done.result()


def test_a_connection_that_did_well_is_used_again(storage: RedisStorage) -> None:
    (server,) = storage._connection.every_server()
    generation = server.generation
    first = server.connection()
    server.keep(first, generation)
    assert server.connection() is first
    server.keep(first, generation)
    counts = storage.connections()
    assert counts is not None
    assert (counts.in_use, counts.idle) == (0, 1)


def test_when_all_were_cut_every_request_is_answered_all_the_same(
    server: Process, q: Subject, storage: RedisStorage, caplog: pytest.LogCaptureFixture
) -> None:
    in_use_at_once(storage)
    caplog.set_level(logging.INFO)
    with talk(server.port) as client:
        client.client_kill_filter(_type="normal", skipme=True)
    for number in range(2 * THREADS):
        q.post(b"%d" % number)
    assert q.counts() == (2 * THREADS, 0)
    assert "is away" not in caplog.text, "one failure is a connection that was cut, no outage"


def test_what_was_taken_before_a_failure_goes_back_to_the_pool(storage: RedisStorage) -> None:
    (server,) = storage._connection.every_server()
    generation = server.generation
    early, failing = server.connection(), server.connection()
    server.discard(failing)
    server.keep(early, generation)
    assert server.counts() == (0, 2)
    assert server.pool.get_connection_count()[0][0] == 2, "the pool looks at both"


def test_a_child_leaves_its_parents_connections_alone(q: Subject, storage: RedisStorage) -> None:
    q.post(b"before")
    child = os.fork()
    if child == 0:
        try:
            for _ in range(20):
                q.post(b"child")
            os._exit(0)
        finally:
            os._exit(1)
    for _ in range(20):
        q.post(b"parent")
    assert os.waitpid(child, 0)[1] == 0
    assert q.counts() == (41, 0)
