"""Each command explains itself; wrong usage is one line and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from queueing import __version__
from queueing.cli.main import main
from queueing.config import Settings
from tests.support.server import run


def lines(text: str) -> list[str]:
    return text.splitlines()


def test_the_version_is_printed(tmp_path: Path) -> None:
    done = run("--version", directory=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"queueing {__version__}\n", "")


@pytest.mark.parametrize("command", [None, *main.commands])
def test_the_help_of_each_command_has_an_example(tmp_path: Path, command: str | None) -> None:
    path = [command] if command else []
    done = run(*path, "--help", directory=tmp_path)
    assert done.returncode == 0
    assert "Example:\n    queueing " in done.stdout
    assert done.stderr == ""
    assert "..." not in done.stdout.partition("Commands:")[2]  # none is cut short


def test_the_example_of_each_help_is_a_command_line_that_parses() -> None:
    for name, command in main.commands.items():
        assert command.help is not None
        for line in command.help.split("Example:")[1].strip().splitlines():
            assert line.split()[:2] == ["queueing", name]
            command.make_context(name, line.split()[2:])


def test_without_a_command_the_help_is_shown_as_wrong_usage(tmp_path: Path) -> None:
    done = run(directory=tmp_path)
    assert done.returncode == 2
    assert "Commands:" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nonsense"], "queueing: No such command 'nonsense'. See `queueing --help`."),
        (["--nonsense"], "queueing: No such option '--nonsense'. See `queueing --help`."),
        (
            ["serve", "--nonsense"],
            "queueing serve: No such option '--nonsense'. See `queueing serve --help`.",
        ),
        (
            ["serve", "here"],
            "queueing serve: Got unexpected extra argument (here) See `queueing serve --help`.",
        ),
        (
            ["serve", "--workers", "many"],
            "queueing serve: Invalid value for '--workers': 'many' is not a valid integer. "
            "See `queueing serve --help`.",
        ),
        (
            ["serve", "--workers", "-1"],
            "queueing: workers = -1 (--workers): expected a whole number from 0 to 1024",
        ),
        (
            ["serve", "--bind", "here"],
            "queueing: bind = 'here' (--bind): expected host:port, as 127.0.0.1:8888 or [::1]:8888, "
            "the port from 0 to 65535",
        ),
        (
            ["collect", "--every", "0"],
            "queueing collect: Invalid value for '--every': 0.0 is not in the range x>=0.1. "
            "See `queueing collect --help`.",
        ),
        (
            ["bench", "ftp://here"],
            "queueing bench: 'ftp://here': expected http://host[:port] See `queueing bench --help`.",
        ),
        (
            ["bench", "http://here", "--producers", "0"],
            "queueing bench: nobody to work: give producers, workers, cyclers, observers or waiters "
            "See `queueing bench --help`.",
        ),
        (
            ["bench", "http://here", "--header", "here"],
            "queueing bench: --header 'here': expected NAME: VALUE See `queueing bench --help`.",
        ),
        (
            ["bench", "http://here", "--workers", "1", "--messages", "5"],
            "queueing bench: messages: nobody posts them: give producers or cyclers "
            "See `queueing bench --help`.",
        ),
        (
            ["bench", "http://here", "--finish", "keep", "--check"],
            "queueing bench: --check: needs --finish each or bulk See `queueing bench --help`.",
        ),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_exit_code_2(
    tmp_path: Path, arguments: list[str], line: str
) -> None:
    done = run(*arguments, directory=tmp_path)
    assert (done.returncode, done.stdout, lines(done.stderr)) == (2, "", [line])


@pytest.mark.parametrize("command", [name for name in main.commands if name != "bench"])
def test_a_setting_that_cannot_be_is_one_line_and_exit_code_1(tmp_path: Path, command: str) -> None:
    done = run(command, directory=tmp_path, workers="many")
    line = "queueing: workers = 'many' (QUEUEING_WORKERS): expected a whole number from 0 to 1024"
    assert (done.returncode, done.stdout, lines(done.stderr)) == (1, "", [line])


def test_config_shows_each_setting_its_value_and_its_source(tmp_path: Path) -> None:
    file = tmp_path / "q.toml"
    file.write_text('threads = 3\nmessage_encryption_key = "swordfish"\n')
    done = run("config", "--config", str(file), directory=tmp_path, strict_headers="true")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in lines(done.stdout)}
    assert list(rows) == ["setting", *vars(Settings())]
    assert rows["threads"] == ["3", str(file)]
    assert rows["strict_headers"] == ["true", "QUEUEING_STRICT_HEADERS"]
    assert rows["workers"] == ["0", "default"]
    assert "swordfish" not in done.stdout


def test_config_prints_an_example_file(tmp_path: Path) -> None:
    done = run("config", "--example", directory=tmp_path)
    assert done.returncode == 0
    assert done.stdout == (Path(__file__).parents[2] / "etc" / "queueing.toml").read_text()
