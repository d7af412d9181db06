"""The comparison benchmarks run, and tell what they have found in a form that others can read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{name}.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "arguments", "pairs"),
    [
        (
            "against_floor",
            ("--servers", "gunicorn", "--stores", "redis", "--only", "of 10"),
            {("claim of 10", "ours gunicorn redis"), ("cycle of 10", "ours gunicorn redis")},
        ),
        (
            "against_floor",
            ("--servers", "granian", "--stores", "sqlite-full", "--only", "post"),
            {("post of 1", "ours granian sqlite-full")},
        ),
        (
            "batches",
            ("--storage", "sqlite", "--only", "post"),
            {("post of 10", "gunicorn sqlite")},
        ),
        ("scaling", ("--only", "post"), {("post of 1", "2 nodes"), ("post of 1", "3 nodes")}),
    ],
)
def test_a_comparison_runs_without_errors_and_gives_no_verdict_when_quick(
    tmp_path: Path, name: str, arguments: tuple[str, ...], pairs: set[tuple[str, str]]
) -> None:
    plot, figures = tmp_path / "plot.svg", tmp_path / "figures.json"
    done = run(name, "--quick", *arguments, "--json", str(figures), "--plot", str(plot))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(figures.read_text())["rows"]
    assert {(row["workload"], row["side"]) for row in rows} == pairs
    for row in rows:
        assert row["rate"] > 0 and row["reference_rate"] > 0 and row["ratio"] > 0
        assert row["remark"].replace("load generator busy", "") == ""
    assert ElementTree.fromstring(plot.read_text()).tag.endswith("svg")
    assert rows[0]["workload"] in done.stdout


@pytest.mark.parametrize(
    "name", ["against_elasticmq", "against_floor", "against_zaqar", "batches", "scaling"]
)
def test_the_help_has_examples(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0
    assert f"python benchmarks/{name}.py --quick" in done.stdout


@pytest.mark.parametrize(
    ("name", "arguments", "judged"),
    [
        ("idle", (), {"gunicorn, sqlite", "gunicorn, redis"}),
        ("memory", (), {"gunicorn sqlite: the most after a tenth / after a tenth"}),
    ],
)
def test_what_a_node_needs_is_measured(
    tmp_path: Path, name: str, arguments: tuple[str, ...], judged: set[str]
) -> None:
    figures = tmp_path / "figures.json"
    done = run(name, "--quick", *arguments, "--json", str(figures))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(figures.read_text())["figures"]
    assert {figure["name"] for figure in found if figure["target"] is not None} == judged


def test_an_unknown_store_is_refused() -> None:
    done = run("against_floor", "--stores", "tape")
    assert done.returncode == 2
    assert "--stores: expected some of sqlite-normal,sqlite-full,redis, got tape" in done.stderr


@pytest.mark.parametrize(
    "name", ["against_elasticmq", "against_floor", "against_zaqar", "batches", "scaling"]
)
def test_a_workload_that_there_is_not_is_refused_and_gives_no_verdict(name: str) -> None:
    done = run(name, "--only", "post,nonsense")
    assert done.returncode == 2
    assert "got 'nonsense'" in done.stderr
    assert "targets" not in done.stdout
