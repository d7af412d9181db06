"""Three nodes, a balancer and a store, as processes of this machine."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.engines.redis import free_port
from tests.support.server import Server
from tests.torture import stores
from tests.torture.balancer import Balancer
from tests.torture.link import Link
from tests.torture.stores import Store

NODES: Final = 3
FIRST: Final = 1
"""The node that scenarios harm; they are counted from 1."""

SETTINGS: Final = {
    "workers": "2",
    "max_messages_per_page": "1000",
    "message_delete_with_claim_id": "true",  # several at once, only under a claim that is live
    "log_format": "json",
    "drain_seconds": "2",  # as in the compose file
}


class Node:
    """One `queueing serve`; always on the same port."""

    def __init__(self, home: Path, number: int, storage: str, env: Mapping[str, str]) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.number = number
        self.port = free_port()
        self._frozen = False
        self._server = Server(
            home, storage=storage, env=env, bind=f"127.0.0.1:{self.port}", **SETTINGS
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        """SIGTERM: it finishes what it has begun."""
        self._server.stop()

    def kill(self) -> None:
        """SIGKILL to all its processes; returns once they are gone, the last worker too."""
        if self._frozen:
            self.thaw()
        self._server.kill()
        while self._listens():
            time.sleep(0.01)

    def _listens(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return True
        except OSError:
            return False

    def freeze(self) -> None:
        """SIGSTOP to all its processes: it is there, and does not answer."""
        os.killpg(self._server.pid, signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        os.killpg(self._server.pid, signal.SIGCONT)
        self._frozen = False

    def output(self) -> str:
        return self._server.output()


class Deployment:
    """Entering starts all of it, leaving stops all of it, in whatever state it is.

    :param envs: environment of nodes, by their number
    :param store_link: whether there is a link between the first node and the store, `store_link`
    :param node_link: whether there is one between the balancer and the first node, `node_link`
    """

    def __init__(
        self,
        home: Path,
        store: Store,
        *,
        envs: Mapping[int, Mapping[str, str]] | None = None,
        store_link: bool = False,
        node_link: bool = False,
    ) -> None:
        self._home = home
        self.store = store
        self._envs = envs or {}
        self._wants_store_link = store_link
        self._wants_node_link = node_link
        self._stack = ExitStack()
        self.nodes: Sequence[Node] = ()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        self._stack.callback(self.store.stop)
        self.store.start()
        uris = dict.fromkeys(range(1, NODES + 1), self.store.uri)
        if self._wants_store_link:
            assert isinstance(self.store, stores.Server)
            self.store_link = self._stack.enter_context(Link(self.store.port))
            uris[FIRST] = self.store.by(self.store_link)
        self.nodes = [
            Node(self._home / f"node{number}", number, uri, self._envs.get(number, {}))
            for number, uri in uris.items()
        ]
        for node in self.nodes:
            self._stack.callback(node.kill)
            node.start()
        ports = [node.port for node in self.nodes]
        if self._wants_node_link:
            self.node_link = self._stack.enter_context(Link(ports[FIRST - 1]))
            ports[FIRST - 1] = self.node_link.port
        self.balancer = Balancer(self._home / "balancer", ports)
        self._stack.callback(self.balancer.stop)
        self.balancer.start()

    @property
    def url(self) -> str:
        """Where clients ask."""
        return self.balancer.url

    @property
    def first(self) -> Node:
        return self.nodes[FIRST - 1]

    def settle(self) -> None:
        """Return once all nodes serve again, and what they were asked before is done."""
        self.balancer.wait_for([node.number for node in self.nodes])
        time.sleep(1)
