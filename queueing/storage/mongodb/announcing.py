"""Hearing what other nodes make free: one look at the queues that are followed, several times a second.

A step that makes messages free adds one to `news` of its queue's own document, in a command that it
sends anyway. While this process follows any queues, a thread of it reads their `news`, of all in one
query, and tells of those that have changed; else there is no thread. What is missed while the
server is away is noticed when it is back, as the number is another then. Steps of this process are
counted, so that what they add is told from what others add: of those that are on their way while a
thread looks it cannot be said whether the number has them already, so the next look decides.

Change streams would tell sooner, for an open cursor on the oplog per process. They need a replica set,
and are not used: this works on every server, and is as quick as it has to be.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import Final

from queueing.core.errors import StorageUnavailable
from queueing.core.models import QueueRef
from queueing.storage.contract import UNKNOWN
from queueing.storage.mongodb.connection import Connection
from queueing.storage.mongodb.keys import QueueKey
from queueing.storage.mongodb.records import ref_of

LOOK_SECONDS: Final = 0.04

DOUBTS: Final = 5
"""So many looks in a row that cannot tell are told of: too often does less harm than too late."""

AT_ONCE: Final = 1000
"""How many queues one query asks for."""

Hear = Callable[[QueueRef, int], None]


class Followed:
    """A queue's `news` when it was followed first, and who has added to it since."""

    def __init__(self, news: int) -> None:
        self.base = news
        self.own = 0  # steps of this process that are done
        self.on_their_way = 0  # those that may be done, or will be
        self.others = 0  # steps of others that were told of
        self._doubts = 0

    def others_did(self, news: int, own_before: int) -> bool:
        """What to tell after a look; `own_before` is `own` from before it."""
        more = news - self.base - self.others
        if more < own_before:  # its document was swept, and it begins again
            self.base = news - self.own - self.others
            return True
        surely = more - self.own - self.on_their_way
        if surely > 0:
            self.others += surely
            return True
        self._doubts = self._doubts + 1 if more > own_before else 0
        return self._doubts >= DOUBTS


class Announcements:
    """For one open store. Threads share it; a forked process begins with nothing followed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._hear: Hear = lambda queue, count: None
        self._forking = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._followed: dict[QueueRef, Followed] = {}  # read without the lock, changed under it
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._pid = os.getpid()

    def listen(self, hear: Hear) -> None:
        self._hear = hear

    def follow(self, queue: QueueRef) -> bool:
        if os.getpid() != self._pid:
            with self._forking:
                if os.getpid() != self._pid:
                    self._begin()  # the thread is the parent's, and who knows about the lock
        if queue in self._followed:
            return True
        try:
            news = self._read([queue])
        except StorageUnavailable:
            return False
        with self._lock:
            if self._closed.is_set():
                return False
            self._followed.setdefault(queue, Followed(news[queue]))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._look_again_and_again, name="announcements", daemon=True
                )
                self._thread.start()
        return True

    def unfollow(self, queue: QueueRef) -> None:
        with self._lock:
            self._followed.pop(queue, None)

    def begin(self, queue: QueueRef) -> Followed | None:
        """Before a step of this process that may add to the queue's `news`: for `end`."""
        followed = self._followed.get(queue)
        if followed:
            with self._lock:
                followed.on_their_way += 1
        return followed

    def end(self, followed: Followed | None, *, done: bool) -> None:
        """After it; `done` if it has added, which is not to be heard here."""
        if followed:
            with self._lock:
                followed.on_their_way -= 1
                followed.own += done

    def close(self) -> None:
        self._closed.set()

    def _look_again_and_again(self) -> None:
        """Until nothing is followed any more."""
        while not self._closed.wait(LOOK_SECONDS):
            with self._lock:
                followed = {queue: (one, one.own) for queue, one in self._followed.items()}
                if not followed:
                    self._thread = None
                    return
            try:
                news = self._read(followed)
            except StorageUnavailable:
                continue
            with self._lock:
                told = [q for q, (one, own) in followed.items() if one.others_did(news[q], own)]
            for queue in told:
                if queue in self._followed:
                    self._hear(queue, UNKNOWN)

    def _read(self, queues: Iterable[QueueRef]) -> dict[QueueRef, int]:
        """The `news` of each; 0 where there is no such queue."""
        keys = [QueueKey.of(queue) for queue in queues]
        news = {key.ref: 0 for key in keys}
        with self._connection.verb():
            for start in range(0, len(keys), AT_ONCE):
                some = keys[start : start + AT_ONCE]
                wanted = {
                    "_id": {"$in": [key.id for key in some]},
                    "q": {"$in": list({key.name for key in some})},
                    "p": {"$in": list({key.project for key in some})},
                }
                for one in self._connection.some(wanted, {"p": 1, "q": 1, "news": 1}):
                    news[ref_of(one)] = one.get("news", 0)
        return news
