"""Read the pages as a reader would: what is typed, what is said to come back, what is linked to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SERVER = re.compile(r"<!-- server: (.*?) -->")

ELLIPSIS = "…"
"""Stands, in an answer on a page, for what differs each time."""


@dataclass(frozen=True)
class Block:
    """What is typed into a shell, and the block right below it, if there is one."""

    page: str
    line: int
    commands: str
    answer: str | None
    kind: str | None

    def matches(self, printed: str) -> bool:
        """`json`, `text`: all that was printed. `http`: these lines, in this order, maybe others between."""
        if self.answer is None:
            return True
        lines = self.answer.strip().splitlines()
        if self.kind == "http":
            pattern = ".*?".join(_pattern(line) for line in lines)
            return re.search(pattern, _squeeze(printed), re.DOTALL | re.IGNORECASE) is not None
        return re.fullmatch(_pattern(self.answer), _squeeze(printed), re.DOTALL) is not None


def _squeeze(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _pattern(text: str) -> str:
    # Within one object: or `{"a": …}` would pass for `{"a": 1}{"b": 2}`.
    return "[^{}]*?".join(re.escape(part) for part in _squeeze(text).split(ELLIPSIS))


def blocks(page: Path) -> list[Block]:
    """Every `sh` block of the page that calls curl or `queueing bench`, in order."""
    text = page.read_text()
    fences = list(_FENCE.finditer(text))
    found = []
    for fence, following in zip_longest(fences, fences[1:]):
        language, body = fence.groups()
        if language != "sh" or not ("curl" in body or "queueing bench" in body):
            continue
        answer = kind = None
        if following and not text[fence.end() : following.start()].strip():
            kind, answer = following.groups()
            if kind == "sh":
                answer = kind = None
        line = text.count("\n", 0, fence.start()) + 1
        found.append(Block(page.name, line, body, answer, kind))
    return found


def server_settings(page: Path) -> dict[str, str]:
    """What the page asks of its server, from a comment such as `<!-- server: admin_mode=true -->`."""
    found = _SERVER.search(page.read_text())
    return dict(pair.split("=", 1) for pair in found[1].split()) if found else {}


def fenced(page: Path) -> list[tuple[str, str]]:
    """Language and text of every block."""
    return [fence.groups() for fence in _FENCE.finditer(page.read_text())]


def prose(page: Path) -> str:
    """The page without its blocks."""
    return _FENCE.sub("", page.read_text())
