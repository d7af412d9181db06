"""From a URI to an open store, or one line that says why not."""

from __future__ import annotations

import builtins
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from queueing.core.errors import SetupError
from queueing.storage import registry
from queueing.storage.contract import Storage
from queueing.storage.registry import DRIVERS, open_storage
from tests.model import ModelStorage


def refusal(uri: str) -> str:
    with pytest.raises(SetupError) as caught:
        open_storage(uri)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_scheme_that_nobody_knows_is_refused_with_those_there_are() -> None:
    text = refusal("postgresql://user:secret@host/db")
    assert "postgresql" in text and "sqlite" in text and "mongodb+srv" in text
    assert "secret" not in text


@pytest.mark.parametrize("uri", ["", "queueing.db", "/var/lib/queueing.db", "://x", "user:secret"])
def test_what_is_no_uri_is_refused_and_not_repeated(uri: str) -> None:
    assert "secret" not in refusal(uri)


def test_schemes_are_read_in_any_case(tmp_path: Path) -> None:
    open_storage(f"SQLite:///{tmp_path}/a.db").close()


@pytest.mark.parametrize("scheme", [s for s, driver in DRIVERS.items() if driver.extra])
def test_a_package_that_is_missing_is_named_with_the_command_that_brings_it(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = DRIVERS[scheme]
    package = {"redis": "redis", "mongodb": "pymongo"}[driver.extra]
    real_import = builtins.__import__

    def without_package(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] in {package, "bson"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=package)
        return real_import(name, *rest)

    folder = driver.module.rpartition(".")[0]
    for module in [m for m in sys.modules if m.startswith(folder)]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without_package)
    text = refusal(f"{scheme}://host/0")
    assert f"pip install 'queueing[{driver.extra}]'" in text


class Others:
    """Stands for the module of a third party."""

    opened: str = ""


def open_theirs(uri: str, *, timeout_seconds: float) -> Storage:
    Others.opened = f"{uri} {timeout_seconds}"
    return ModelStorage()


def test_a_third_party_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("mem", f"{__name__}:open_theirs", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert isinstance(open_storage("mem://here", timeout_seconds=7), ModelStorage)
    assert Others.opened == "mem://here 7"
    assert "mem" in refusal("unknown://x")


def test_a_third_party_that_cannot_be_imported_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("mem", "there_is_no_such_module:open", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert "there_is_no_such_module" in refusal("mem://here")
