"""The benchmark of flat costs runs, and tells what it has found in a form that others can read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "flat.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARK), *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_it_measures_every_operation_and_gives_no_verdict_when_quick(tmp_path: Path) -> None:
    figures = tmp_path / "flat.json"
    result = run("--quick", "--turns", "5", "--only", "depth,expired", "--json", str(figures))
    assert result.returncode == 0, result.stderr
    document = json.loads(figures.read_text())
    operations = {"post 1", "get", "claim 10", "delete", "list 10", "stats", "get any"}
    for situation in ("depth", "expired"):
        rows = [row for row in document["rows"] if row["situation"] == situation]
        assert {row["operation"] for row in rows} == operations
        assert all(row["ratio"] > 0 for row in rows)
    assert [reading["messages"] for reading in document["memory"]] == [1000, 10_000]


def test_wrong_use_is_told_in_a_line() -> None:
    assert run("--only", "everything").returncode == 2
    refused = run("--storage", "nothing://x")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stdout + refused.stderr
    assert "python benchmarks/flat.py" in run("--help").stdout
