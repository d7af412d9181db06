"""`etc/queueing.toml` shows what there is."""

from __future__ import annotations

import re
from pathlib import Path

from queueing.cli.config import example_file
from queueing.config import Settings, load

FILE = Path(__file__).parents[2] / "etc" / "queueing.toml"


def test_the_example_file_is_made_from_the_code() -> None:
    # To bring it up to date: queueing config --example > etc/queueing.toml
    assert FILE.read_text() == example_file()


def test_the_example_file_as_it_is_changes_nothing() -> None:
    assert load(str(FILE), environ={}).settings == Settings()


def test_the_example_file_uncommented_holds_every_setting_with_its_default(tmp_path: Path) -> None:
    file = tmp_path / "queueing.toml"
    text = re.sub(r"^#(?=[a-z\[])", "", FILE.read_text(), flags=re.MULTILINE)
    file.write_text(text)
    settings, sources = load(str(file), environ={})
    assert settings == Settings()
    assert set(sources.values()) == {str(file)}
