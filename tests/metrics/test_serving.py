"""Where metrics are served, and what it takes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.core import Metric

from queueing.config import Settings
from queueing.core.clock import ManualClock
from queueing.core.models import Draft, QueueRef, request_token
from queueing.metrics import place
from queueing.metrics.depths import Depths, chosen
from queueing.metrics.place import Place
from queueing.metrics.queues import OTHERS, KnownQueues
from queueing.metrics.recorder import Recorder
from queueing.storage.instrumented import Verb, instrumented
from tests.model import ModelStorage
from tests.support.metrics import ON, scrape, total, url
from tests.support.server import DEADLINE, Server, run

QUEUE = QueueRef("default", "orders")


@pytest.mark.usefixtures("web_server")
def test_metrics_are_on_their_own_port_only_and_only_when_they_are_asked_for(
    tmp_path: Path,
) -> None:
    with Server(tmp_path, **ON) as server:
        assert httpx.get(f"{server.url}/metrics", timeout=DEADLINE).status_code == 404
        there = url(server)
        assert httpx.get(there, timeout=DEADLINE).status_code == 200
        elsewhere = there.removesuffix("/metrics")
        assert httpx.get(f"{elsewhere}/v2/queues", timeout=DEADLINE).status_code == 404
        assert httpx.post(there, timeout=DEADLINE).status_code == 404
        server.stop()
        with pytest.raises(httpx.ConnectError):
            httpx.get(there, timeout=DEADLINE)
    with Server(tmp_path) as server:
        assert "metrics on" not in server.output().splitlines()[-1]


def test_without_metrics_nothing_of_them_is_loaded_or_in_the_way() -> None:
    program = (
        "import sys\n"
        "from queueing.config import Settings\n"
        "from queueing.wsgi import create_app\n"
        "from queueing.storage.instrumented import _InstrumentedStorage\n"
        "import queueing.wsgi as wsgi\n"
        "create_app(Settings(storage='sqlite:///queueing.db'))\n"
        "loaded = [n for n in sys.modules if n.startswith(('prometheus', 'opentelemetry'))]\n"
        "assert not loaded, loaded\n"
        "(node,) = wsgi._nodes\n"
        "assert not isinstance(node.storage, _InstrumentedStorage)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_package_that_is_missing_is_named_with_the_command_that_brings_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda n, *of: None if n == 'prometheus_client' else find(n, *of)\n"
    )
    env = {"PYTHONPATH": str(tmp_path)}
    done = run("serve", directory=tmp_path, env=env, bind="127.0.0.1:0", **ON)
    assert done.returncode == 1
    assert done.stderr == (
        "queueing: metrics_bind: needs the package prometheus-client: "
        "pip install 'queueing[metrics]'\n"
    )


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        taken = f"127.0.0.1:{server.port}"
        done = run("serve", directory=tmp_path, bind="127.0.0.1:0", metrics_bind=taken)
    assert done.returncode == 1
    assert done.stderr == f"queueing: metrics_bind {taken}: Address already in use\n"


def test_a_client_that_says_nothing_does_not_keep_others_from_metrics_for_long(
    tmp_path: Path,
) -> None:
    with Server(tmp_path, **ON) as server:
        host, port = url(server).removeprefix("http://").removesuffix("/metrics").split(":")
        with socket.create_connection((host, int(port))):
            assert total(scrape(server), "queueing_workers") == 1


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """A place that nobody listens at."""
    with socket.socket() as nobody:
        yield Place(tmp_path, nobody)


@pytest.fixture
def counts(here: Place) -> Iterator[Recorder]:
    recorder = Recorder(here, most_queues=10)
    yield recorder
    recorder.close()


def test_the_depth_and_age_of_chosen_queues_are_asked_of_the_store(counts: Recorder) -> None:
    storage, clock = ModelStorage(), ManualClock()
    for _ in range(3):
        post(storage, clock)
        clock.advance(10)
    depths = Depths(chosen(["orders", "a/b/none"]), storage, clock, counts)
    depth, age = depths.collect()
    assert values(depth) == {
        ("default", "orders", "free"): 3,
        ("default", "orders", "claimed"): 0,
        ("a/b", "none", "free"): 0,
        ("a/b", "none", "claimed"): 0,
    }
    assert values(age) == {("default", "orders"): 30, ("a/b", "none"): 0}


def test_a_store_that_does_not_answer_keeps_no_scrape_waiting_and_is_counted(
    counts: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queueing.metrics.depths.PATIENCE_SECONDS", 0.05)
    storage, clock, answers = ModelStorage(), ManualClock(), threading.Event()
    post(storage, clock)

    def silent(operation: str, verb: Verb) -> Verb:
        def call(*arguments: object, **named: object) -> object:
            answers.wait(DEADLINE)
            return verb(*arguments, **named)

        return call if operation == "messages.stats" else verb

    depths = Depths([QUEUE], instrumented(storage, silent), clock, counts)
    numbers, at = counts._depth_errors
    assert [values(metric) for metric in depths.collect()] == [{}, {}]
    assert numbers[at] == 1
    assert [values(metric) for metric in depths.collect()] == [{}, {}]  # and does not ask again
    assert numbers[at] == 2
    asking = depths._asking
    assert asking is not None
    answers.set()
    asking.join(DEADLINE)
    monkeypatch.setattr("queueing.metrics.depths.PATIENCE_SECONDS", DEADLINE)
    depth, _ = depths.collect()
    assert values(depth)["default", "orders", "free"] == 1
    assert numbers[at] == 2


def post(storage: ModelStorage, clock: ManualClock) -> None:
    token = request_token()
    storage.messages.post(
        QUEUE, [Draft(b"1", 60)], client_id="", token=token, version="", now=clock.now()
    )


def values(metric: Metric) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for sample in metric.samples}


def test_a_slot_is_free_again_when_its_process_is_gone_and_no_sooner(here: Place) -> None:
    assert here.workers() == 0
    assert [here.take_slot(), here.take_slot()] == [1, 2]
    assert here.workers() == 2
    os.close(here._held.pop(0))
    assert here.workers() == 1
    assert here.take_slot() == 1


def test_what_a_dead_process_said_of_the_present_is_forgotten_and_what_it_counted_is_not(
    here: Place,
) -> None:
    recorder = Recorder(here, most_queues=10)
    os.close(here._held.pop())  # as the kernel does when a process ends
    recorder.close()
    gauges = list(here.directory.glob("gauge_*.db"))
    assert gauges
    assert here.workers() == 0
    assert not any(path.exists() for path in gauges)
    assert list(here.directory.glob("counter_*.db"))


def test_a_node_that_was_killed_leaves_nothing_for_long_and_one_that_lives_keeps_its_own(
    tmp_path: Path,
) -> None:
    env = {"TMPDIR": str(tmp_path)}

    def directories() -> set[Path]:
        return set(tmp_path.glob("queueing-metrics-*"))

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with (
        Server(tmp_path / "a", env=env, **ON) as killed,
        Server(tmp_path / "b", env=env, **ON) as other,
    ):
        both = directories()
        killed.kill()
        killed.start()
        assert len(both) == len(directories()) == 2 and len(both & directories()) == 1
        assert total(scrape(other), "queueing_workers") == 1
        killed.stop()
        other.stop()
    assert not directories()


def test_processes_agree_on_the_queues_that_have_numbers_of_their_own(tmp_path: Path) -> None:
    one, other = KnownQueues(tmp_path, 3), KnownQueues(tmp_path, 3)
    queues = [QueueRef("p\n\u00e9", name) for name in "abcd"]
    assert one.label(queues[0]) == queues[0]
    assert other.label(queues[1]) == queues[1]
    assert one.label(queues[2]) == queues[2]  # the third, with the one that the other knows
    assert other.label(queues[3]) == OTHERS == one.label(queues[3])
    for queue in queues[:3]:
        assert one.label(queue) == other.label(queue) == queue
    assert len((tmp_path / "queues").read_text().splitlines()) == 3


def test_a_place_that_nobody_asks_for_is_not_made() -> None:
    assert place.prepare(Settings()) is None


@pytest.mark.parametrize("queue", ["", "a/", "/b", "a b", "a/b c"])
def test_queues_are_named_as_they_can_be(queue: str, tmp_path: Path) -> None:
    done = run("config", directory=tmp_path, metrics_depth_queues=queue or "''")
    assert done.returncode == 1 and "metrics_depth_queues" in done.stderr


def test_where_to_serve_them_is_an_address_or_nothing(tmp_path: Path) -> None:
    done = run("config", directory=tmp_path, metrics_bind="9464")
    assert done.returncode == 1 and "metrics_bind" in done.stderr
