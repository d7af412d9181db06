"""What the documents of a queue are called, and the states they can be in.

All documents of all queues lie in one collection, so that one `update` command, which is one round
trip and done in order, can change a queue's own document, its messages and its claims.

Every document has `p` and `q`, the project and the name of its queue: the shard key. Its `_id` begins
with a digest of both, so that equal ids in two queues are two documents; `p` and `q` are in every
filter nevertheless, for the sharding and so that no collision of digests can ever show one project
what is another's.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from queueing.core.models import QueueRef

Document = dict[str, Any]

# `s`, in the order in which one look at the head of a queue meets them (see `free.py`).
POPPED: Final = -2  # `due` is the pop's token
CLAIM: Final = -1  # not a message: a claim; `due` is its id
DEAD: Final = 0  # on the dead pile; `due` is its place there, `c` the burial
CLAIMED: Final = 1  # `due` is when the claim is over, `c` the claim's id
DELAYED: Final = 2  # `due` is when the delay is over
FREE: Final = 3  # `due` is 0
KEY: Final = 4  # not a message: an idempotency key
BURIAL: Final = 5  # not a message: a burial that the queue, as a target, has accepted

WAITING: Final = [CLAIMED, DELAYED]
LIVE: Final = [CLAIMED, DELAYED, FREE]
APPENDED: Final = [CLAIMED, DELAYED, FREE, KEY, BURIAL]
"""Whatever one appending step writes under its sequences."""

ID_LENGTH: Final = 128
"""Longer ids are not looked for: none was ever given out."""


class QueueKey(NamedTuple):
    """A queue's place in the collection."""

    project: str
    name: str
    id: str

    @classmethod
    def of(cls, queue: QueueRef) -> QueueKey:
        return _key(queue)

    @property
    def ref(self) -> QueueRef:
        return QueueRef(self.project, self.name)

    def message(self, id: str) -> str:
        return f"{self.id}/m/{id}"

    def claim(self, id: str) -> str:
        return f"{self.id}/c/{id}"

    def idempotency(self, key: str) -> str:
        return f"{self.id}/k/{key}"

    def burial(self, burial: str) -> str:
        return f"{self.id}/b/{burial}"

    def put_aside(self, id: str, reason: str) -> str:
        """For a popped message or a dead letter whose id comes back to the queue."""
        return f"{self.id}/a/{reason}/{id}"

    def itself(self, **more: Any) -> Document:
        """A filter for the queue's own document."""
        return {"_id": self.id, "q": self.name, "p": self.project, **more}

    def one(self, _id: str, **more: Any) -> Document:
        return {"_id": _id, "q": self.name, "p": self.project, **more}

    def some(self, _ids: Iterable[str], **more: Any) -> Document:
        found = list(_ids)
        if len(found) == 1:
            return self.one(found[0], **more)
        return {"_id": {"$in": found}, "q": self.name, "p": self.project, **more}

    def all(self, **more: Any) -> Document:
        """A filter for whatever of the queue fits; the state first, as most documents differ there."""
        return {**more, "q": self.name, "p": self.project}


@lru_cache(maxsize=4096)
def _key(queue: QueueRef) -> QueueKey:
    project = queue.project.encode()
    whole = b"%d:%b%b" % (len(project), project, queue.name.encode())
    digest = hashlib.blake2b(whole, digest_size=12).digest()
    return QueueKey(queue.project, queue.name, base64.urlsafe_b64encode(digest).decode())


def is_id(text: str) -> bool:
    """Whether a document could be named by it: MongoDB takes no lone surrogates."""
    return len(text) <= ID_LENGTH and text.isascii()


def message_id(_id: str) -> str:
    return _id.rpartition("/")[2]
