"""What came of the scenarios: a row of the table for each, and all of it as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.table import Table

from tests.support.history import KINDS, Finding

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "lost": ("lost", "batch split"),
    "doubled": ("doubled", "invented"),
    "two live claims": ("held twice", "claim broken", "fence"),
    "out of order": ("out of order", "passed over", "marker gap", "marker repeat"),
    "resurrected": ("resurrected",),
}
"""The kinds of findings that each column counts."""

assert sorted(kind for kinds in COLUMNS.values() for kind in kinds) == sorted(KINDS)

SHOWN: Final = 10


@dataclass(frozen=True)
class Outcome:
    """How a scenario ended."""

    scenario: str
    store: str
    seconds: float  # under load
    operations: int  # requests that were answered
    posted: int  # messages that were acknowledged
    failed: Mapping[str, int]  # requests that clients saw fail: how often, by what they saw
    recovery_seconds: float
    findings: Sequence[tuple[str, Finding]]  # queue and finding
    complaints: Sequence[str]

    @property
    def passed(self) -> bool:
        return not self.findings and not self.complaints

    @property
    def rate(self) -> float:
        """Messages that were acknowledged, per second."""
        return self.posted / self.seconds if self.seconds else 0.0

    def counts(self) -> dict[str, int]:
        kinds = Counter(finding.kind for _, finding in self.findings)
        return {name: sum(kinds[kind] for kind in all_) for name, all_ in COLUMNS.items()}

    def document(self) -> dict[str, Any]:
        document = asdict(self) | self.counts() | {"rate": self.rate, "passed": self.passed}
        document["findings"] = [
            {"queue": queue, "kind": finding.kind, "what": finding.what}
            for queue, finding in self.findings
        ]
        return document

    def reasons(self) -> list[str]:
        """Why it did not pass, some of the findings for all."""
        lines = list(self.complaints)
        lines += [f"{kind} in {queue}: {what}" for queue, (kind, what) in self.findings[:SHOWN]]
        if len(self.findings) > SHOWN:
            lines.append(f"and {len(self.findings) - SHOWN} more findings")
        return lines


def table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("scenario")
    table.add_column("store")
    for name in ("operations", "messages/s", "failed", *COLUMNS, "recovery s"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for outcome in outcomes:
        table.add_row(
            outcome.scenario,
            outcome.store,
            f"{outcome.operations:,}",
            f"{outcome.rate:,.0f}",
            f"{sum(outcome.failed.values()):,}",
            *(str(count) for count in outcome.counts().values()),
            f"{outcome.recovery_seconds:.1f}",
            "passed" if outcome.passed else "FAILED",
        )
    return table
