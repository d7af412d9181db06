"""One server of a store, and the connections to it that are at hand."""

from __future__ import annotations

import os
from typing import Any

import redis

from queueing.storage.redis.outages import Outage
from queueing.storage.redis.reconnects import Reconnects


class Server:
    """A place to send commands to. Threads share it, and it survives a fork.

    Connections are the pool's of redis-py, which looks at each that it hands out or takes back; that
    takes a quarter of a request's time. So those that have just done well are kept at hand here, and
    all go back to the pool when one fails: there the dead ones are found out.

    `one_address`: of several, at one of which it is; see `Reconnects.watch`.
    """

    def __init__(
        self,
        name: str,
        pool: redis.ConnectionPool,
        outage: Outage,
        reconnects: Reconnects,
        *,
        one_address: bool = False,
    ) -> None:
        self.name = name
        self.pool = pool
        self.outage = outage
        self.generation = 0  # of connections: those at hand are of the last one
        self._reconnects = reconnects
        self._one_address = one_address
        self._pid = os.getpid()
        self._at_hand: list[Any] = []  # append and pop are atomic, so they need no lock

    def connection(self) -> Any:
        """A connection for one thread, to be given back by `keep` or `discard`."""
        if self._pid != os.getpid():
            self._at_hand = []  # they are the parent's
            self._pid = os.getpid()
        try:
            return self._at_hand.pop()
        except IndexError:
            connection = self.pool.get_connection()
            self._reconnects.watch(connection, one_address=self._one_address)
            return connection

    def keep(self, connection: Any, generation: int) -> None:
        """It did well. `generation`: what was the last one before it was taken."""
        if generation == self.generation:
            self._at_hand.append(connection)
        else:
            self.pool.release(connection)

    def discard(self, connection: Any) -> None:
        """It failed: an answer that comes late must not be taken for the next one's."""
        connection.disconnect()
        self.pool.release(connection)
        self.forget()

    def forget(self) -> None:
        """Have the pool look at every connection before it is used again."""
        self.generation += 1
        while self._at_hand:
            try:
                self.pool.release(self._at_hand.pop())
            except IndexError:
                return  # other threads take them, too

    def counts(self) -> tuple[int, int]:
        """How many connections are in use, and how many are not."""
        (idle, _), (taken, _) = self.pool.get_connection_count()
        at_hand = len(self._at_hand)
        return taken - at_hand, idle + at_hand
