"""haproxy with our `etc/haproxy.cfg`, on ports of its own and with the nodes that it is told of."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.docs.pages import ROOT
from tests.support.engines.redis import free_port, program

CONFIGURATION = ROOT / "etc" / "haproxy.cfg"
PATIENCE_SECONDS = 60.0


def configuration(text: str, port: int, nodes: Sequence[int], admin: Path) -> str:
    """What we ship, but for what Docker has and a machine has not: names that are resolved."""
    servers = "\n".join(
        f"    server node{number} 127.0.0.1:{node}" for number, node in enumerate(nodes, 1)
    )
    changes = [
        (r"bind :8888\b", f"bind 127.0.0.1:{port}"),
        (r"(?m)^ *server-template node .*$", servers),
        (r"(?ms)^resolvers docker\n.*?\n\n", ""),
        (r" resolvers docker resolve-prefer ipv4 init-addr none\b", ""),
        (r"(?m)^global$", f"global\n    stats socket {admin}"),
    ]
    for what, instead in changes:
        text, found = re.subn(what, instead.replace("\\", r"\\"), text)
        assert found == 1, f"{CONFIGURATION.name} has {found} times {what}"
    return text


class Balancer:
    """`url` is where clients ask."""

    def __init__(self, home: Path, nodes: Sequence[int]) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._admin = home / "admin"
        self._log = home / "haproxy.log"
        self._count = len(nodes)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._file = home / "haproxy.cfg"
        self._file.write_text(configuration(CONFIGURATION.read_text(), port, nodes, self._admin))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program("haproxy"), "-db", "-f", str(self._file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_for(range(1, self._count + 1))

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(PATIENCE_SECONDS)
            self._process = None

    def wait_for(self, nodes: Sequence[int], *, up: bool = True) -> None:
        """Until it holds these nodes to be up, or down; they are counted from 1."""
        wanted = {f"node{number}" for number in nodes}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            assert self._process is not None
            assert self._process.poll() is None, self._log.read_text(errors="replace")
            states = self._states()
            if wanted <= {name for name, is_up in states.items() if is_up is up}:
                return
            assert time.monotonic() < deadline, f"waited in vain for {wanted}: {states}"
            time.sleep(0.05)

    def _states(self) -> dict[str, bool]:
        """Which node is up."""
        answer = b""
        try:
            with socket.socket(socket.AF_UNIX) as admin:
                admin.settimeout(5)
                admin.connect(str(self._admin))
                admin.sendall(b"show stat\n")
                while data := admin.recv(1 << 16):
                    answer += data
        except OSError:
            return {}
        rows = [line.split(",") for line in answer.decode().splitlines() if line]
        status = rows[0].index("status") if rows else 0
        return {row[1]: row[status].startswith("UP") for row in rows if row[1].startswith("node")}
