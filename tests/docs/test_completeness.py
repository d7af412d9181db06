"""What exists is documented: a setting, route, error, command or policy action without a line fails."""

from __future__ import annotations

import dataclasses
import re

import click

from queueing.api import errors, policy
from queueing.api.routes import routes
from queueing.cli.main import main
from queueing.config import Settings
from queueing.core.rules import RESERVED_KEYS
from tests.docs.pages import ROOT
from tests.docs.tables import settings_table

API = (ROOT / "docs" / "api.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
CLI = (ROOT / "docs" / "cli.md").read_text()


def test_each_setting_stands_in_the_table_with_its_default_and_its_meaning() -> None:
    # To bring the page up to date: python -m tests.docs.tables
    assert settings_table() in CONFIGURATION
    for field in dataclasses.fields(Settings):
        assert f"`{field.name}`" in CONFIGURATION


def test_each_route_and_method_stands_in_the_api_reference() -> None:
    documented = {
        (method.strip(), path)
        for methods, path in re.findall(r"^\| \[`([A-Z, ]+) (/\S*)`\]", API, re.MULTILINE)
        for method in methods.split(",")
    }
    existing = set(routes())
    assert existing == documented


def test_each_title_of_an_error_stands_in_the_api_reference() -> None:
    for title in errors.TITLES:
        assert f"`{title}`" in API, title


def test_each_policy_action_stands_in_the_configuration() -> None:
    for action in policy.DEFAULTS:
        assert f"`{action}`" in CONFIGURATION, action


def test_each_reserved_metadata_key_stands_in_the_api_reference() -> None:
    for key in RESERVED_KEYS:
        assert f"`{key}`" in API, key


def test_each_command_and_option_stands_in_the_page_on_the_command_line() -> None:
    assert isinstance(main, click.Group)
    for name, command in main.commands.items():
        assert f"## queueing {name}" in CLI, name
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("--"):
                    assert f"`{option}" in CLI, f"{name} {option}"
