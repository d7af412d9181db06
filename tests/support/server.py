"""A real `queueing serve` in processes of its own, for tests over real sockets.

    with Server(tmp_path) as server:
        httpx.get(f"{server.url}/v2/ping")

Entering starts it and waits until it answers; leaving kills whatever is left. `stop()` is SIGTERM and
asks for exit code 0; `kill()` is SIGKILL to all its processes; after either, `start()` starts it
again on the same files (and, unless told otherwise, on another port).
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

DEADLINE = 60.0  # seconds; the machine may be busy with other tests
LISTENING = re.compile(r"listens on (http://(\S+):(\d+))\s")
SERVERS = ("gunicorn", "granian")
COMMAND = (sys.executable, "-m", "queueing")


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without settings of queueing, plus these (without their prefix)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QUEUEING_")}
    kept["PYTHONUNBUFFERED"] = "1"
    return kept | {f"QUEUEING_{name.upper()}": value for name, value in settings.items()}


def run(
    *arguments: str,
    directory: Path,
    env: Mapping[str, str] | None = None,
    **settings: str,
) -> subprocess.CompletedProcess[str]:
    """Run a command of `queueing` to its end; both streams as text."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=directory,
        env=environment(**settings) | dict(env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def with_hangup(disposition: str) -> list[str]:
    """`queueing`, begun with SIGHUP as it is by default, or as nohup leaves it."""
    lines = (
        "import runpy, signal",
        f"signal.signal(signal.SIGHUP, signal.{disposition})",
        "runpy.run_module('queueing', run_name='__main__', alter_sys=True)",
    )
    return [sys.executable, "-c", "\n".join(lines)]


class Server:
    """`settings` are settings by name (`strict_headers="true"`); `arguments` go to `queueing serve`."""

    default = SERVERS[0]
    """What serves where a test does not say; the fixture `web_server` sets it."""

    def __init__(
        self,
        directory: Path,
        *,
        storage: str | None = None,
        arguments: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = COMMAND,
        **settings: str,
    ) -> None:
        self._command = tuple(command)
        self.directory = directory
        self.storage = storage or f"sqlite:///{directory / 'queueing.db'}"
        chosen = {
            "bind": "127.0.0.1:0",
            "storage": self.storage,
            "workers": "1",
            "server": self.default,
            **settings,
        }
        self._arguments = tuple(arguments)
        self._env = environment(**chosen) | dict(env or {})
        self._process: subprocess.Popen[bytes] | None = None
        self.log = directory / "server.log"
        self.url = ""
        self.port = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Of the master process, which leads a process group of its own."""
        assert self._process is not None
        return self._process.pid

    def output(self) -> str:
        """What all its runs wrote so far, to both streams."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def start(self) -> Self:
        """Start it and wait until it answers."""
        before = len(self.output())
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, "serve", *self._arguments],
                cwd=self.directory,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_it_answers(before)
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """SIGTERM; returns once all is over and asks for exit code 0."""
        self.signal(signal.SIGTERM)
        code = self.wait()
        assert code == 0, f"exit code {code}\n{self.output()}"

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for the master to end; its exit code."""
        assert self._process is not None
        code = self._process.wait(DEADLINE)
        self._kill_group()  # nothing is left, unless something is wrong
        self._process = None
        return code

    def kill(self) -> None:
        """SIGKILL to the master and its workers, if there are any."""
        if self._process is None:
            return
        self._kill_group()
        self._process.wait(DEADLINE)
        self._process = None

    def _kill_group(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def _wait_until_it_answers(self, before: int) -> None:
        assert self._process is not None
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise AssertionError(f"exit code {self._process.returncode}\n{self.output()}")
            found = LISTENING.search(self.output()[before:])
            if found:
                self.url, self.port = found[1], int(found[3])
                if self._answers(found[2].strip("[]")):
                    return
            time.sleep(0.02)
        raise AssertionError(f"no answer after {DEADLINE} s\n{self.output()}")

    def _answers(self, host: str) -> bool:
        request = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
        try:
            with socket.create_connection((host, self.port), timeout=DEADLINE) as connection:
                connection.sendall(request)
                return connection.recv(1024).startswith(b"HTTP/1.1 ")
        except OSError:
            return False
