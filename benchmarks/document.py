"""The tables, outputs and plots of docs/performance.md, out of the figures in docs/figures.

    python benchmarks/document.py

What stands between `<!-- figures: NAME -->` and `<!-- end of figures -->` is replaced: by the table of all targets
if NAME is `summary`, else by the command, the output and the plot of that step. all.py does so at its end.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from figures import Figure

HERE = Path(__file__).resolve().parent
BLOCK = re.compile(r"(<!-- figures: (\S+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)
ALL = "summary"


@dataclass(frozen=True)
class Found:
    """What a step has found."""

    title: str
    command: str
    output: str
    figures: list[Figure]


def read(results: Path, names: Iterable[str] | None = None) -> dict[str, Found]:
    """By step; those of which there are figures. Without names: all."""
    if names is None:
        names = sorted(file.stem for file in results.glob("*.json"))
    found = {}
    for name in names:
        file = results / f"{name}.json"
        if file.exists():
            one = json.loads(file.read_text(encoding="utf-8"))
            figures = [Figure.read(figure) for figure in one["figures"]]
            found[name] = Found(one["title"], one["command"], one["output"], figures)
    return found


def summary(found: Mapping[str, Found]) -> str:
    """A line for each target of each step, in Markdown: how many figures met it, and the one furthest off."""
    lines = [
        "| Step | What | Target | Met | Furthest from it | |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        aims: dict[str, list[Figure]] = {}
        for figure in one.figures:
            if figure.target is not None:
                aims.setdefault(figure.aim, []).append(figure)
        for aim, figures in aims.items():
            worst = max(figures, key=lambda one: one.value if one.most else -one.value)
            met = sum(bool(figure.met) for figure in figures)
            verdict = "met" if met == len(figures) else "**missed**"
            lines.append(
                f"| {name} | {one.title} | {aim} | {met} of {len(figures)} | "
                f"{worst.shown} ({worst.name}) | {verdict} |"
            )
    return "\n".join(lines) + "\n"


def block(name: str, one: Found, folder: str) -> str:
    """Command, output and plot of a step; the plot lies in `folder`, seen from the page."""
    return (
        f"```sh\n{one.command}\n```\n\n```text\n{one.output}\n```\n\n"
        f"![{one.title}]({folder}/{name}.svg)\n"
    )


def refresh(page: Path, results: Path) -> list[str]:
    """Write the page's blocks anew; steps that it shows and that have no figures keep what they have.

    :returns: their names
    """
    found, missing = read(results), []

    def replacement(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        if name == ALL:
            order = [other for other in BLOCK_NAMES.findall(text) if other in found]
            return begin + summary({other: found[other] for other in order}) + end
        if name not in found:
            missing.append(name)
            return match[0]
        return begin + block(name, found[name], results.name) + end

    text = page.read_text(encoding="utf-8")
    page.write_text(BLOCK.sub(replacement, text), encoding="utf-8")
    return missing


BLOCK_NAMES = re.compile(r"<!-- figures: (\S+) -->")


def main() -> int:
    docs = HERE.parent / "docs"
    for name in refresh(docs / "performance.md", docs / "figures"):
        print(f"{name}: no figures in docs/figures", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
