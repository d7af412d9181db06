"""The benchmarks of our own share of a request run, whatever they find."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.docs.pages import ROOT
from tests.support.server import DEADLINE


@pytest.mark.parametrize("name", ["overhead", "metrics"])
def test_it_measures_and_says_whether_its_target_was_met(name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), "--quick", "--json", "-"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    figures = json.loads(done.stdout)
    assert figures["benchmark"] == name
    assert figures["target_us"] > 0
