"""Metrics as Prometheus reads them: asked for over HTTP, read by prometheus-client's own parser."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable

import httpx
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.support.server import DEADLINE, Server

ON = {"metrics_bind": "127.0.0.1:0"}
"""Settings of a `Server` that has metrics."""

_URL = re.compile(r"metrics on (http://\S+)")


def url(server: Server) -> str:
    """Where the last start of the server has its metrics."""
    return _URL.findall(server.output())[-1]  # type: ignore[no-any-return]  # a pattern with one group


def scrape(server: Server) -> list[Metric]:
    answer = httpx.get(url(server), timeout=DEADLINE)
    assert answer.status_code == 200
    return list(text_string_to_metric_families(answer.text))


def samples(metrics: Iterable[Metric]) -> list[Sample]:
    return [sample for metric in metrics for sample in metric.samples]


def total(metrics: Iterable[Metric], name: str, **labels: str) -> float:
    """The sum of all samples of that name with these labels."""
    return sum(
        sample.value
        for sample in samples(metrics)
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def by(metrics: Iterable[Metric], name: str, label: str) -> Counter[str]:
    """The sums of all samples of that name, by one of their labels."""
    found: Counter[str] = Counter()
    for sample in samples(metrics):
        if sample.name == name:
            found[sample.labels[label]] += int(sample.value)
    return found


def eventually(ask: Callable[[], object]) -> None:
    """Wait until it is true: what processes say of the present may be a second old."""
    deadline = time.monotonic() + DEADLINE
    while not ask():
        assert time.monotonic() < deadline
        time.sleep(0.05)
