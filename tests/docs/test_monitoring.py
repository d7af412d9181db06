"""What can be watched is written down, and nothing else is."""

from __future__ import annotations

import re

from queueing.metrics.families import FAMILIES
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "monitoring.md").read_text()
ROW = re.compile(r"^\| `(queueing_\w+)` \| (\w+) \| ([^|]*?) ?\| \S", re.MULTILINE)


def test_each_metric_stands_in_the_page_with_its_kind_and_labels_and_no_other() -> None:
    written = {
        (name, kind, tuple(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in ROW.findall(PAGE)
    }
    assert written == {(family.name, family.kind, family.labels) for family in FAMILIES}


def test_no_page_names_a_metric_that_is_none() -> None:
    known = {family.name for family in FAMILIES}
    known |= {f"{f.name}_{part}" for f in FAMILIES for part in ("bucket", "count", "sum")}
    assert set(re.findall(r"\bqueueing_[a-z_]+\b", PAGE)) <= known


def test_metrics_are_named_as_prometheus_wants_it() -> None:
    for family in FAMILIES:
        assert re.fullmatch(r"queueing_[a-z_]+", family.name)
        assert family.name.endswith("_total") is (family.kind == "counter"), family.name
        assert family.kind != "histogram" or family.name.endswith("_seconds"), family.name
        assert not {"le", "job", "instance"} & set(family.labels)
