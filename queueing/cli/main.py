"""`queueing`: the command line. Every command answers wrong usage with one line and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from queueing import __version__
from queueing.cli.collect import collect
from queueing.cli.config import config
from queueing.cli.serve import serve
from queueing.core.errors import SetupError, StorageUnavailable


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="queueing", message="%(prog)s %(version)s")
def commands() -> None:
    """A REST message queue.

    \b
    Example:
      queueing serve --storage sqlite:///queueing.db
    """


for command in (serve, config, collect):
    commands.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the process: 0 done, 1 it could not be done, 2 wrong usage."""
    try:
        code = commands.main(arguments, prog_name="queueing", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as help_wanted:
        print(help_wanted.format_message())
        sys.exit(2)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "queueing"
        _fail(f"{path}: {error.format_message()} See `{path} --help`.", 2)
    except click.Abort:
        sys.exit(130)  # Ctrl-C
    except (click.ClickException, SetupError, StorageUnavailable) as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        _fail(f"queueing: {text}", 1)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(line: str, code: int) -> None:
    print(" ".join(line.split()), file=sys.stderr)
    sys.exit(code)
