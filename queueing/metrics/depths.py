"""How deep chosen queues are: asked of the store when somebody asks for the metrics."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric

from queueing.api.middleware.scope import DEFAULT_PROJECT
from queueing.core.clock import Clock
from queueing.core.errors import QueueingError
from queueing.core.models import QueueRef, Stats
from queueing.metrics.families import AGE, DEPTH, Family
from queueing.metrics.recorder import Recorder
from queueing.storage.contract import Storage

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 2.0
"""How long a scrape waits for the store; Prometheus gives up after 10 s as it comes."""

Found = tuple[QueueRef, Stats, float]


def chosen(names: Iterable[str]) -> list[QueueRef]:
    """Queues as `metrics_depth_queues` names them."""
    parts = (name.rpartition("/") for name in names)
    return [QueueRef(project or DEFAULT_PROJECT, name) for project, _, name in parts]


class Depths:
    """A collector for a registry of prometheus-client. One scrape at a time."""

    def __init__(
        self, queues: Sequence[QueueRef], storage: Storage, clock: Clock, recorder: Recorder
    ) -> None:
        self._queues = queues
        self._storage = storage
        self._clock = clock
        self._recorder = recorder
        self._asking: threading.Thread | None = None

    def collect(self) -> Iterator[Metric]:
        depth, age = _gauge(DEPTH), _gauge(AGE)
        for queue, stats, now in self._ask():
            depth.add_metric([*queue, "free"], stats.free)
            depth.add_metric([*queue, "claimed"], stats.claimed)
            oldest = max(0.0, now - stats.oldest.posted_at) if stats.oldest else 0.0
            age.add_metric([*queue], oldest)
        yield depth
        yield age

    def _ask(self) -> list[Found]:
        """What the store says in time; each queue that it does not speak of counts as an error."""
        if not self._queues:
            return []
        found: list[Found] = []
        # The store may take its own, longer time-out: then the next scrape does not ask it again.
        if self._asking is None or not self._asking.is_alive():
            answers: SimpleQueue[Found] = SimpleQueue()
            self._asking = threading.Thread(target=self._run, args=(answers,), daemon=True)
            self._asking.start()
            end = time.monotonic() + PATIENCE_SECONDS
            while len(found) < len(self._queues) and (left := end - time.monotonic()) > 0:
                try:
                    found.append(answers.get(timeout=min(left, 0.05)))
                except Empty:
                    if not self._asking.is_alive() and answers.empty():
                        break
        for _ in range(len(self._queues) - len(found)):
            self._recorder.depth_failed()
        return found

    def _run(self, answers: SimpleQueue[Found]) -> None:
        for queue in self._queues:
            try:
                now = self._clock.now()
                answers.put((queue, self._storage.messages.stats(queue, now=now), now))
            except QueueingError as error:
                log.debug("the depth of %s is not known: %s", queue.name, error)


def _gauge(family: Family) -> GaugeMetricFamily:
    return GaugeMetricFamily(family.name, family.help, labels=family.labels)
