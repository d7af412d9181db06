"""What a benchmark found, one line each: a value, what it should be, and whether it is.

All benchmarks write them under `figures` in their JSON, which makes one table, one kind of plot, and the
tables of docs/performance.md out of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

BAR, GAP, TOP = 16, 8, 44  # of a plot, in pixels
LEFT, WIDTH, RIGHT = 400, 330, 96
STYLE = """\
svg { font-family: system-ui, sans-serif; font-size: 12px; --paper: #ffffff; --ink: #1c2430; --none: #7b8794;
  --met: #2f7d4f; --missed: #b8442f }
@media (prefers-color-scheme: dark) {
  svg { --paper: #14191f; --ink: #e3e8ee; --none: #8d99a6; --met: #4cae75; --missed: #e5705a } }
.paper { fill: var(--paper) } text { fill: var(--ink) } .aim { stroke: var(--ink); stroke-width: 2 }
.none { fill: var(--none) } .met { fill: var(--met) } .missed { fill: var(--missed) }"""


@dataclass(frozen=True)
class Figure:
    """`target`: what `value` must reach, or with `most` may reach at most; None: it is only shown."""

    name: str
    value: float
    target: float | None = None
    most: bool = False
    unit: str = ""

    @property
    def met(self) -> bool | None:
        """As the value is shown: with two places."""
        if self.target is None:
            return None
        value = round(self.value, 2)
        return value <= self.target if self.most else value >= self.target

    @property
    def aim(self) -> str:
        if self.target is None:
            return ""
        return f"{'≤' if self.most else '≥'} {self.target:g}{self.unit and ' ' + self.unit}"

    @property
    def verdict(self) -> str:
        return {None: "", True: "met", False: "missed"}[self.met]

    @property
    def shown(self) -> str:
        return f"{self.value:,.2f}{self.unit and ' ' + self.unit}"

    def document(self) -> dict[str, Any]:
        return {**vars(self), "value": round(self.value, 4), "met": self.met}

    @staticmethod
    def read(document: dict[str, Any]) -> Figure:
        return Figure(**{key: value for key, value in document.items() if key != "met"})


def plot(figures: Sequence[Figure], title: str) -> str:
    """Bars with a mark where the target is, as SVG that follows the reader's choice of light or dark.

    Figures of one unit share a scale.
    """
    height = TOP + len(figures) * (BAR + GAP) + 4
    total = LEFT + WIDTH + RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height}" width="{total}" '
        f'height="{height}" role="img" aria-label="{escape(title)}">',
        f"<style>\n{STYLE}\n</style>",
        '<rect class="paper" width="100%" height="100%"/>',
        f'<text x="12" y="24" font-size="14" font-weight="600">{escape(title)}</text>',
    ]
    largest: dict[str, float] = {}
    for figure in figures:
        reach = max(figure.value, figure.target or 0.0, largest.get(figure.unit, 0.0))
        largest[figure.unit] = reach or 1.0
    for place, figure in enumerate(figures):
        top, scale = TOP + place * (BAR + GAP), WIDTH / largest[figure.unit]
        length = max(1.0, figure.value * scale)
        end = length if figure.target is None else max(length, figure.target * scale)
        parts += [
            f'<text x="{LEFT - 8}" y="{top + 12}" text-anchor="end">{escape(figure.name)}</text>',
            f'<rect class="{figure.verdict or "none"}" x="{LEFT}" y="{top}" width="{length:.1f}" '
            f'height="{BAR}"/>',
            f'<text x="{LEFT + end + 7:.1f}" y="{top + 12}">{figure.shown}</text>',
        ]
        if figure.target is not None:
            at = LEFT + figure.target * scale
            parts.append(
                f'<line class="aim" x1="{at:.1f}" y1="{top - 3}" x2="{at:.1f}" y2="{top + BAR + 3}"/>'
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


def write(
    document: dict[str, Any], figures: Sequence[Figure], title: str, json_: Any, plot_: Any
) -> None:
    """The document with its figures to the file `json_`, or stdout if that is `-`; an SVG to `plot_`."""
    if plot_:
        Path(plot_).write_text(plot(figures, title), encoding="utf-8")
    if not json_:
        return
    whole = document | {"title": title, "figures": [figure.document() for figure in figures]}
    text = json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
    if json_ == "-":
        print(text, end="")
    else:
        Path(json_).write_text(text, encoding="utf-8")
