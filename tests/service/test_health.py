"""The self-test: every kind of step is tried, failures are told, and nothing is left behind."""

from __future__ import annotations

import logging
import threading
from typing import cast
from uuid import UUID

import pytest

from queueing.service.health import SCRATCH_PROJECT, SelfTest, scratch_queue
from queueing.storage.contract import Storage
from tests.service.interposed import unavailable

PATIENCE_SECONDS = 60.0
STEPS = [
    "create_queue",
    "post_messages",
    "claim_messages",
    "list_messages",
    "delete_messages",
    "delete_claim",
    "bulk_delete_messages",
    "delete_queue",
]
VERBS = {
    "create_queue": "queues.create",
    "post_messages": "messages.post",
    "claim_messages": "claims.claim",
    "list_messages": "messages.page",
    "delete_messages": "messages.delete",
    "delete_claim": "claims.release",
    "bulk_delete_messages": "messages.delete_many",
    "delete_queue": "queues.delete",
}


@pytest.fixture
def self_test(node) -> SelfTest:
    return SelfTest(cast(Storage, node.store), node.clock)


def left_behind(node) -> bool:
    return node.queues.exists(scratch_queue())


def test_healthy_store_passes_every_step(node, self_test):
    report = self_test.run()
    assert report["storage_reachable"] is True
    assert list(report["operation_status"]) == STEPS
    for step in report["operation_status"].values():
        assert set(step) == {"succeeded", "seconds", "ref"}
        assert step["succeeded"] is True
        assert step["seconds"] >= 0
        assert step["ref"] is None
    assert not left_behind(node)


def test_report_says_what_the_store_may_lose(node, self_test):
    durability = self_test.run()["durability"]
    assert durability == dict(node.storage.durability())
    assert {"engine", "promise"} <= set(durability)


def test_store_that_does_not_answer_is_not_reachable(node, self_test, caplog):
    node.store.before("ping", unavailable)
    assert self_test.run() == {
        "storage_reachable": False,
        "operation_status": {},
        "durability": {},
    }
    assert len(caplog.records) == 1


@pytest.mark.parametrize("failing", STEPS)
def test_step_that_fails_ends_the_test_is_logged_under_its_ref_and_leaves_nothing(
    node, self_test, caplog, failing
):
    caplog.set_level(logging.ERROR)
    node.store.before(VERBS[failing], unavailable)
    report = self_test.run()
    done = report["operation_status"]
    assert report["storage_reachable"] is True
    assert list(done) == STEPS[: STEPS.index(failing) + 1]
    assert [name for name, step in done.items() if not step["succeeded"]] == [failing]
    assert str(UUID(done[failing]["ref"])) in caplog.text
    assert not left_behind(node)


def test_step_that_is_answered_wrongly_fails(node, self_test):
    # Whatever is posted is gone again before it is claimed, and then before it is listed.
    for verb, failing in (("claims.claim", "claim_messages"), ("messages.page", "list_messages")):
        node.store.before(
            verb, lambda: node.storage.messages.purge(scratch_queue(), now=node.clock.now())
        )
        done = self_test.run()["operation_status"]
        assert [name for name, step in done.items() if not step["succeeded"]] == [failing]
        assert not left_behind(node)


def test_queue_that_cannot_be_cleaned_up_is_used_and_removed_by_the_next_test(node, self_test):
    node.store.before("messages.page", unavailable)
    node.store.before("queues.delete", unavailable)
    assert not self_test.run()["operation_status"]["list_messages"]["succeeded"]
    assert left_behind(node)
    assert list(self_test.run()["operation_status"]) == STEPS
    assert not left_behind(node)


def test_same_queue_is_used_again(node, self_test):
    seen = []
    for _ in range(3):
        node.store.before("claims.claim", lambda: seen.append(left_behind(node)))
        self_test.run()
    assert seen == [True] * 3


def test_no_client_can_name_the_scratch_project():
    assert SCRATCH_PROJECT.strip() != SCRATCH_PROJECT


def test_clients_limits_do_not_matter(open_node):
    node = open_node(
        max_messages_per_page=1, max_messages_post_size=1, message_delete_with_claim_id=True
    )
    report = SelfTest(node.storage, node.clock).run()
    assert all(step["succeeded"] for step in report["operation_status"].values())


def test_tests_at_the_same_time_all_pass(node):
    self_test = SelfTest(node.storage, node.clock)
    reports = []
    threads = [threading.Thread(target=lambda: reports.append(self_test.run())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert len(reports) == 4
    for report in reports:
        assert all(step["succeeded"] for step in report["operation_status"].values())
    assert not left_behind(node)
