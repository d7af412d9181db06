"""What a node counts is what was done, over all its processes, dead ones too."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from queueing.metrics.families import FAMILIES, OTHER
from tests.cli.test_serving import children
from tests.support.metrics import ON, by, eventually, samples, scrape, total
from tests.support.server import DEADLINE, Server, run

pytestmark = pytest.mark.usefixtures("web_server")

MESSAGES = 600


def post(server: Server, queue: str, number: int = 1) -> None:
    body = {"messages": [{"body": index} for index in range(number)]}
    answer = httpx.post(f"{server.url}/v2/queues/{queue}/messages", json=body, timeout=DEADLINE)
    assert answer.status_code == 201


def test_three_nodes_together_have_counted_what_the_load_generator_did(tmp_path: Path) -> None:
    with ExitStack() as stack:
        nodes = []
        for number in range(3):
            (tmp_path / str(number)).mkdir()
            node = Server(
                tmp_path / str(number),
                storage=f"sqlite:///{tmp_path / 'shared.db'}",
                workers="2",
                access_log="false",
                **ON,
            )
            nodes.append(stack.enter_context(node))
        urls = [node.url for node in nodes]
        # One queue for each node and process of the load generator, so that all have to do.
        done = run(
            *("bench", *urls, "--messages", str(MESSAGES), "--batch", "3", "--claim", "5"),
            *("--queues", "3", "--queue", "bench", "--check", "--json", "-"),
            directory=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        metrics = [metric for node in nodes for metric in scrape(node)]
        each = [total(scrape(node), "queueing_http_requests_total") for node in nodes]
    check = report["check"]
    assert check["acknowledged"] == check["delivered"] == MESSAGES
    assert not report["errors"]
    queues = set(report["plan"]["queues"])
    for name, number in (("posted", MESSAGES), ("claimed", MESSAGES), ("deleted", MESSAGES)):
        counted = by(metrics, f"queueing_messages_{name}_total", "queue")
        assert counted.total() == number, name
        assert set(counted) == queues
        assert total(metrics, f"queueing_messages_{name}_total", project="bench") == number
    requests = "queueing_http_requests_total"
    messages = "/v2/queues/{queue}/messages"
    assert total(metrics, requests, route=messages, method="POST", status="201") == MESSAGES / 3
    one = f"{messages}/{{message_id}}"
    assert total(metrics, requests, route=one, method="DELETE", status="204") == MESSAGES
    claims = total(metrics, requests, route="/v2/queues/{queue}/claims", status="201")
    assert MESSAGES / 5 <= claims <= MESSAGES
    assert all(each)
    # A histogram has each request once, in its count and in its last bucket.
    for family, label in (("http_request", "route"), ("store_call", "operation")):
        name = f"queueing_{family}_duration_seconds"
        counts = by(metrics, f"{name}_count", label)
        infinite = Counter[str]()
        for sample in samples(metrics):
            if sample.name == f"{name}_bucket" and sample.labels["le"] == "+Inf":
                infinite[sample.labels[label]] += int(sample.value)
        assert counts == infinite
    routes = by(metrics, "queueing_http_request_duration_seconds_count", "route")
    assert routes == by(metrics, requests, "route")
    calls = by(metrics, "queueing_store_call_duration_seconds_count", "operation")
    assert calls["messages.post"] == MESSAGES / 3 and calls["messages.delete"] == MESSAGES
    assert calls["claims.claim"] == total(metrics, requests, route="/v2/queues/{queue}/claims")
    assert total(metrics, "queueing_workers") == 6


def test_a_process_that_is_killed_leaves_its_counters_and_takes_its_gauges_along(
    tmp_path: Path,
) -> None:
    with Server(tmp_path, **ON) as server:
        post(server, "a", 3)
        waiting = threading.Thread(target=wait_in_vain, args=(server.url,))
        waiting.start()
        eventually(lambda: total(scrape(server), "queueing_waiters") == 1)
        (worker,) = children(server.pid)
        os.kill(worker, signal.SIGKILL)
        waiting.join()
        eventually(lambda: children(server.pid) not in ([], [worker]))
        eventually(lambda: total(scrape(server), "queueing_workers") == 1)
        assert total(scrape(server), "queueing_waiters") == 0
        assert total(scrape(server), "queueing_messages_posted_total") == 3
        post(server, "a", 4)
        assert total(scrape(server), "queueing_messages_posted_total") == 7


def wait_in_vain(url: str) -> None:
    try:
        httpx.post(f"{url}/v2/queues/none/claims?wait=30", timeout=DEADLINE)
    except httpx.TransportError:
        pass  # its server was killed


def test_queues_past_the_limit_are_counted_under_a_name_that_no_queue_can_have(
    tmp_path: Path,
) -> None:
    chosen = {"metrics_queues": "2", "metrics_depth_queues": "chosen"}
    with Server(tmp_path, workers="2", **chosen, **ON) as server:
        for _ in range(8):  # so that both processes have to do
            for queue in ("a", "b", "c", "d", "chosen"):
                post(server, queue)
        counted = by(scrape(server), "queueing_messages_posted_total", "queue")
        refused = httpx.put(f"{server.url}/v2/queues/{OTHER}", timeout=DEADLINE)
    assert counted == {"a": 8, "b": 8, OTHER: 16, "chosen": 8}
    assert refused.status_code == 400


def test_a_queue_whose_project_is_no_text_for_prometheus_has_numbers_all_the_same(
    tmp_path: Path,
) -> None:
    project = 'a"b\\c'
    with Server(tmp_path, **ON) as server:
        httpx.post(
            f"{server.url}/v2/queues/q/messages",
            headers={"X-Project-ID": project},
            json={"messages": [{"body": 1}]},
            timeout=DEADLINE,
        )
        assert by(scrape(server), "queueing_messages_posted_total", "project") == {project: 1}


def test_clients_cannot_make_up_time_series(tmp_path: Path) -> None:
    with Server(tmp_path, **ON) as server:
        for number in range(20):
            httpx.get(f"{server.url}/nothing-{number}", timeout=DEADLINE)
            httpx.request(f"MADE{number}", f"{server.url}/v2/queues/q-{number}", timeout=DEADLINE)
        found = [s for s in samples(scrape(server)) if s.name == "queueing_http_requests_total"]
    assert {sample.labels["method"] for sample in found} == {"GET", "other"}
    assert (
        sum(sample.value for sample in found) == 41
    )  # and one by which the test saw that it serves
    assert len(found) <= 4


def test_dead_letters_waits_and_what_was_popped_are_counted(tmp_path: Path) -> None:
    with Server(tmp_path, max_waiters="0", **ON) as server:
        with httpx.Client(base_url=f"{server.url}/v2/queues", timeout=DEADLINE) as http:
            http.put("/source", json={"_max_claim_count": 1, "_dead_letter_queue": "dead"})
            post(server, "source", 2)
            claim = http.post("/source/claims").headers["Location"]
            http.delete(claim.removeprefix("/v2/queues"))
            assert http.post("/source/claims?wait=1").status_code == 204
            assert len(http.delete("/dead/messages?pop=2").json()["messages"]) == 2
        metrics = scrape(server)
        eventually(lambda: total(scrape(server), "queueing_waiters_refused_total") == 1)
    dead = by(metrics, "queueing_messages_dead_lettered_total", "queue")
    assert dead == {"source": 2}
    assert by(metrics, "queueing_messages_deleted_total", "queue") == {"dead": 2}
    waited = "queueing_http_request_duration_seconds_count"
    assert total(metrics, waited, waits="yes") == 1


def test_a_store_that_fails_is_counted_by_call_and_kind(tmp_path: Path) -> None:
    with Server(tmp_path, storage_timeout_seconds="0.1", collect_seconds="0", **ON) as server:
        post(server, "a")
        holder = sqlite3.connect(tmp_path / "queueing.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        body = {"messages": [{"body": 1}]}
        answer = httpx.post(f"{server.url}/v2/queues/a/messages", json=body, timeout=DEADLINE)
        assert answer.status_code == 503
        holder.close()
        metrics = scrape(server)
    failed = [s for s in samples(metrics) if s.name == "queueing_store_errors_total"]
    (sample,) = failed
    assert sample.labels["operation"] == "messages.post" and sample.value >= 1
    assert sample.labels["kind"] == "OperationalError"
    assert total(metrics, "queueing_messages_posted_total") == 1


def test_what_is_scraped_has_the_names_kinds_and_labels_that_are_written_down(
    tmp_path: Path,
) -> None:
    written = {family.name: family for family in FAMILIES}
    with Server(tmp_path, metrics_depth_queues="a", **ON) as server:
        post(server, "a")
        httpx.post(f"{server.url}/v2/queues/a/claims", timeout=DEADLINE)
        eventually(lambda: total(scrape(server), "queueing_swept_total") == 0)
        metrics = scrape(server)
    for metric in metrics:
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        family = written[name]
        assert metric.type == family.kind
        assert metric.documentation == family.help
        for sample in metric.samples:
            assert set(sample.labels) - {"le"} == set(family.labels), sample
    assert len(metrics) >= 12
