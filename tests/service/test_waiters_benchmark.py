"""The benchmark of waiting runs, and tells what it has found in a form that others can read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "waiters.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARK), *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_it_measures_and_gives_no_verdict_when_quick(tmp_path: Path) -> None:
    figures = tmp_path / "waiters.json"
    result = run("--quick", "--json", str(figures))
    assert result.returncode == 0, result.stderr
    found = {line["name"]: line for line in json.loads(figures.read_text())["figures"]}
    assert {what for what, line in found.items() if line["target"] is not None} == {
        "other requests beside 40, against beside 0",
        "other requests beside 100, against beside 0",
        "p99 above a post and a claim",
        "claims tried for each message, 200 waiting",
    }


def test_wrong_use_is_told_in_a_line() -> None:
    assert run("--only", "everything").returncode == 2
    refused = run("--only", "tries", "--storage", "nothing://x")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stdout + refused.stderr
    assert "python benchmarks/waiters.py" in run("--help").stdout
