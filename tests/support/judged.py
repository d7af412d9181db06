"""How many requests the checker of histories has judged, said per test and store when a run ends.

A number in a test's properties, so that it comes from test processes too, and stands in reports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support import history

PROPERTY = "requests judged"
WORTH_SAYING = 1_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    before = history.judged
    yield
    judged = history.judged - before
    if judged and (store := _store(item)):
        item.user_properties += [(PROPERTY, judged), ("store", store)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for report in terminalreporter.getreports("passed") if report.when == "call"]
    told = {report.nodeid: dict(report.user_properties) for report in reports}
    judged = {node: found for node, found in told.items() if found.get(PROPERTY, 0) >= WORTH_SAYING}
    if not judged:
        return
    stores: Counter[str] = Counter()
    terminalreporter.section("requests judged: none lost, doubled, held twice, out of order")
    for node, found in sorted(judged.items()):
        stores[found["store"]] += found[PROPERTY]
        terminalreporter.write_line(f"{found[PROPERTY]:>9,}  {node}")
    for store, number in stores.most_common():
        terminalreporter.write_line(f"{number:>9,}  in all over {store}")


def _store(item: pytest.Item) -> str | None:
    """As `--stores` names it, or the kind of store that has faults of its own; None: none at all."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if store := parameters.get("store") or parameters.get("served_store"):
        return str(store.name)
    directory = item.path.parent
    return directory.name if directory.parent.name == "faults" else None
