"""The tables that are made from the code. `python -m tests.docs.tables` writes them into the pages."""

from __future__ import annotations

import dataclasses
import re

from queueing.config import Settings
from tests.docs.pages import ROOT

BEGIN, END = "<!-- settings -->", "<!-- end of settings -->"


def settings_table() -> str:
    """Name, default and sentence of every setting, in the order of the code."""
    rows = ["| Setting | Default | Meaning |", "|---|---|---|"]
    for field in dataclasses.fields(Settings):
        rows.append(f"| `{field.name}` | {_default(field)} | {field.metadata['meaning']} |")
    return "\n".join(rows)


def _default(field: dataclasses.Field[object]) -> str:
    value = field.default
    if value is dataclasses.MISSING:
        assert field.default_factory is not dataclasses.MISSING
        value = field.default_factory()
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def main() -> None:
    page = ROOT / "docs" / "configuration.md"
    text = page.read_text()
    table = f"{BEGIN}\n{settings_table()}\n{END}"
    page.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: table, text, flags=re.DOTALL))


if __name__ == "__main__":
    main()
