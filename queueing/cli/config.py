"""`queueing config`: what is in force, and where it comes from."""

from __future__ import annotations

import textwrap
from dataclasses import fields

import click

from queueing.config import DEFAULTS, KINDS, Settings, effective, expected, load, shown

HEAD = """\
# Every setting of queueing, with its default. Take away the # to change one.
#
# queueing reads the file named by --config, else by QUEUEING_CONFIG, else
# /etc/queueing/queueing.toml if it is there. A variable QUEUEING_<NAME IN UPPER CASE>
# comes before the file, a flag of the command line before both.
"""


@click.command(short_help="Print the settings in force.")
@click.option(
    "--config", "config_file", metavar="FILE", help="Settings as TOML.  [QUEUEING_CONFIG]"
)
@click.option("--example", is_flag=True, help="A file with every setting and its default instead.")
def config(config_file: str | None, example: bool) -> None:
    """Print every setting in force, secrets masked, and where it was read from.

    \b
    Example:
      queueing config --config /etc/queueing/queueing.toml
    """
    if example:
        click.echo(example_file(), nl=False)
        return
    rows = [("setting", "value", "from"), *effective(load(config_file))]
    name_width, value_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, value, source in rows:
        click.echo(f"{name:<{name_width}}  {value:<{value_width}}  {source}")


def example_file() -> str:
    """The text of `etc/queueing.toml`."""
    parts = [HEAD]
    for item in fields(Settings):
        if item.name == "policy":  # a table, and so the last
            continue
        value = getattr(DEFAULTS, item.name)
        sentence = f"{item.metadata['meaning']} {_allowed(item.name)}"
        comment = textwrap.fill(sentence, 96, initial_indent="# ", subsequent_indent="# ")
        parts.append(f"{comment}\n#{item.name} = {shown(item.name, value)}\n")
    policy = next(item for item in fields(Settings) if item.name == "policy")
    parts.append(f'# {policy.metadata["meaning"]}\n#[policy]\n#"queues:create" = "role:operator"\n')
    return "\n".join(parts)


def _allowed(name: str) -> str:
    """What the value may be, where the default does not tell."""
    return "" if KINDS[name] in (bool, str) else f"{expected(name).capitalize()}."
