"""Alerts and the dashboard ask for metrics that exist, by labels that these have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from queueing.metrics.families import FAMILIES, Family
from tests.docs.pages import ROOT
from tests.docs.test_completeness import existing_routes

ALERTS = ROOT / "etc" / "prometheus" / "alerts.yaml"
DASHBOARD = ROOT / "etc" / "grafana" / "queueing.json"
PAGE = (ROOT / "docs" / "monitoring.md").read_text()

CLIENTS = "/v2/queues.*"
OF_EVERY_TARGET = {"job", "instance"}
BY_NAME = {family.name: family for family in FAMILIES}
BY_NAME |= {f"{f.name}_bucket": f for f in FAMILIES if f.kind == "histogram"}
BY_NAME |= {
    f"{f.name}_{end}": f for f in FAMILIES if f.kind == "histogram" for end in ("count", "sum")
}

_SELECTOR = re.compile(r"\b(queueing_\w+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_BY = re.compile(r"\bby \(([^)]*)\)")


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return panels


def queries() -> Iterator[tuple[str, str]]:
    """Each query, and what is written beside its answer."""
    for rule in rules():
        yield rule["expr"], " ".join(rule["annotations"].values())
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"], target["legendFormat"]


def defects(query: str, legend: str = "") -> list[str]:
    """What in it is not there."""
    found = []
    kept = {label.strip() for labels in _BY.findall(query) for label in labels.split(",")}
    available = set(OF_EVERY_TARGET)
    for name, selector in _SELECTOR.findall(query):
        family = BY_NAME.get(name)
        if family is None:
            found.append(f"no metric {name}")
            continue
        labels = labels_of(name, family)
        available |= labels
        found += [
            f"{name} has no {label}" for label, _ in _LABEL.findall(selector) if label not in labels
        ]
        if family.kind != "gauge" and not re.search(rf"(rate|increase)\({name}\b", query):
            found.append(f"{name} only grows: ask for its rate")
    found += [f"no metric here has {label}" for label in kept - available]
    named = set(re.findall(r"{{\s*(?:\$labels\.)?(\w+)\s*}}", legend))
    found += [f"{label} is not kept" for label in named - kept - OF_EVERY_TARGET]
    if "histogram_quantile" in query and "le" not in kept:
        found.append("a quantile needs le")
    return found


def labels_of(name: str, family: Family) -> set[str]:
    extra = {"le"} if name.endswith("_bucket") else set()
    return {*family.labels, *OF_EVERY_TARGET, *extra}


def test_every_query_names_metrics_and_labels_that_exist() -> None:
    asked = list(queries())
    assert len(asked) > 20
    for query, legend in asked:
        assert defects(query, legend) == [], query


@pytest.mark.parametrize(
    "query",
    [
        "rate(queueing_requests_total[5m])",
        'rate(queueing_http_requests_total{code="500"}[5m])',
        "sum by (queue) (rate(queueing_http_requests_total[5m]))",
        "sum(queueing_http_requests_total)",
        "histogram_quantile(0.9, sum(rate(queueing_http_request_duration_seconds_bucket[5m])))",
        "rate(queueing_http_request_duration_seconds_total[5m])",
    ],
)
def test_a_query_for_what_is_not_there_is_noticed(query: str) -> None:
    assert defects(query)


def test_the_dashboard_shows_every_metric() -> None:
    shown = {name for query, _ in queries() for name, _ in _SELECTOR.findall(query)}
    assert {BY_NAME[name].name for name in shown} == {family.name for family in FAMILIES}


def test_values_of_labels_are_those_that_are_counted() -> None:
    waits = {
        value
        for query, _ in queries()
        for label, value in _LABEL.findall(query)
        if label == "waits"
    }
    assert waits == {"no"}


def test_routes_that_are_chosen_are_all_of_those_that_clients_use() -> None:
    values = {v for query, _ in queries() for label, v in _LABEL.findall(query) if label == "route"}
    assert values == {CLIENTS}
    chosen = {path for _, path in existing_routes() if re.fullmatch(CLIENTS, path)}
    probes = {"/v2/ping", "/v2/health/live", "/v2/health/ready", "/v2/health", "/", "/v2/"}
    assert chosen == {path for _, path in existing_routes()} - probes


def test_there_are_five_alerts_and_the_page_says_what_to_do_at_each() -> None:
    alerts = [rule["alert"] for rule in rules()]
    assert len(alerts) == 5
    for name in alerts:
        assert f"| `{name}` |" in PAGE, name
    assert set(re.findall(r"\bQueueing[A-Z]\w+", DASHBOARD.read_text() + PAGE)) == set(alerts)


def test_panels_have_a_place_of_their_own() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in panels()}) == len(places)
