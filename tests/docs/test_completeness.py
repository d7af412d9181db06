"""What exists is documented: a setting, route, error, command or policy action without a line fails."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import click

from queueing.api.errors import STATUS
from queueing.api.policy import DEFAULTS
from queueing.api.routes import routes
from queueing.cli.main import main
from queueing.config import Settings
from queueing.core import errors
from queueing.core.clock import ManualClock
from queueing.core.reserved import RESERVED
from queueing.wiring import services_of
from tests.docs.pages import ROOT
from tests.docs.tables import settings_table
from tests.model import ModelStorage

API = (ROOT / "docs" / "api.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
CLI = (ROOT / "docs" / "cli.md").read_text()


def test_each_setting_stands_in_the_table_with_its_default_and_its_meaning() -> None:
    assert settings_table() in CONFIGURATION, "run: python -m tests.docs.tables"
    for field in dataclasses.fields(Settings):
        assert f"`{field.name}`" in CONFIGURATION


def test_each_route_and_method_stands_in_the_api_reference_and_no_other() -> None:
    documented = {
        (method.strip(), path)
        for methods, path in re.findall(r"^\| \[`([A-Z, ]+) (/\S*)`\]", API, re.MULTILINE)
        for method in methods.split(",")
    }
    assert set(existing_routes()) == documented


def existing_routes() -> Iterator[tuple[str, str]]:
    settings = Settings(admin_mode=True)
    services = services_of(ModelStorage(), ManualClock(), settings)
    for route in routes(services, settings):
        for name in dir(route.resource):
            if name.startswith("on_"):
                yield name.removeprefix("on_").upper(), route.path.replace("_id}", "}")


def test_each_title_of_an_error_stands_in_the_api_reference() -> None:
    titles = {answer.title for answer in STATUS.values()} - {None}
    titles |= {errors.API, errors.BODY, errors.PARAMETER}
    titles |= set(titles_in_the_code())
    assert len(titles) > 15
    for title in titles:
        assert f"`{title}`" in API, title


def titles_in_the_code() -> Iterator[str]:
    """Every text that is handed over as a title: by that name, or as what `InvalidRequest` takes second."""
    for path in Path(ROOT / "queueing").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            given: list[ast.expr] = []
            match node:
                case ast.keyword(arg="title") | ast.Assign(targets=[ast.Name(id="title")]):
                    given = [node.value]
                case ast.Call(func=ast.Name(id="InvalidRequest" | "OverLimit"), args=[_, title]):
                    given = [title]
                case ast.Call(func=ast.Name(id="_answer"), args=[_, _, _, title, *_]):
                    given = [title]
            for value in given:
                for part in ast.walk(value):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield part.value


def test_each_policy_action_stands_in_the_configuration() -> None:
    for action in DEFAULTS:
        assert f"| `{action}` |" in CONFIGURATION, action


def test_each_reserved_metadata_key_stands_in_the_api_reference() -> None:
    for key in RESERVED:
        assert f"| `{key}` |" in API, key


def test_each_command_and_option_stands_in_the_page_on_the_command_line() -> None:
    assert isinstance(main, click.Group)
    for name, command in main.commands.items():
        assert f"## queueing {name}" in CLI, name
        for parameter in command.params:
            for option in parameter.opts:
                assert not option.startswith("--") or f"`{option}" in CLI, f"{name} {option}"
