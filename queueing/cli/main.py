"""`queueing`: the command line. Wrong usage is answered with one line and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from queueing import __version__
from queueing.cli.bench import bench
from queueing.cli.collect import collect
from queueing.cli.config import config
from queueing.cli.ping import ping
from queueing.cli.prepare import prepare
from queueing.cli.serve import serve
from queueing.config import ConfigError
from queueing.core.errors import SetupError, StorageUnavailable


class Commands(click.Group):
    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> NoReturn:
        """Run a command and end the process: 0 done, 1 it could not be done, 2 wrong usage."""
        try:
            code = super().main(args, prog_name="queueing", standalone_mode=False)
        except click.exceptions.NoArgsIsHelpError as help_wanted:
            click.echo(help_wanted.format_message(), err=True)
            sys.exit(2)
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else "queueing"
            _fail(f"{path}: {error.format_message()} See `{path} --help`.", 2)
        except click.Abort:
            sys.exit(130)  # Ctrl-C
        except click.ClickException as error:
            _fail(f"queueing: {error.format_message()}", 1)
        except (SetupError, StorageUnavailable) as error:
            flag = isinstance(error, ConfigError) and error.source.startswith("--")
            _fail(f"queueing: {error}", 2 if flag else 1)
        sys.exit(code if isinstance(code, int) else 0)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="queueing", message="%(prog)s %(version)s")
def main() -> None:
    """A REST message queue.

    \b
    Example:
      queueing serve --storage sqlite:///queueing.db
    """


for command in (serve, config, collect, bench, prepare, ping):
    main.add_command(command)


def _fail(line: str, code: int) -> NoReturn:
    click.echo(" ".join(line.split()), err=True)
    sys.exit(code)
