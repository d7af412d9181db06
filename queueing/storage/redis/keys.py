"""What things are called in Redis: keys, partitions, and ids in half of their bytes.

All keys of a queue are in one slot of a Cluster, and so are the indexes that must change in the same
step as the queue: the names of its project's queues, what is to be swept when, which queues have a
dead pile. So queues are spread over a fixed number of partitions, each a hash tag of its own, with
such indexes each; a server that is no Cluster needs one partition only.

A key is `<namespace>:<kind>{<tag>}<ref>`. The ref writes the length before project and name: no two
pairs have the same, whatever is in them. Braces after the first pair mean nothing to Redis.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Final, NamedTuple

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from queueing.core.models import QueueRef

CLUSTER_PARTITIONS: Final = 64
"""Enough to spread over any Cluster that one service needs; a listing asks each of them."""

KINDS: Final = (
    *("state", "messages", "touched", "free", "held", "holds", "delayed", "delays"),
    *("expiry", "claims", "ends", "pile", "piled"),
)
"""The keys of a queue; `scripts/_keys.lua` says what they hold."""

ALL_KEYS: Final = (*KINDS, "names", "agenda", "piles")
"""With those of its partition, in the order of `QueueKeys.all`."""


class QueueKeys(NamedTuple):
    """The keys of one queue. `all`: in the order of `ALL_KEYS`."""

    partition: int
    ref: bytes
    name: bytes
    all: tuple[bytes, ...]
    stem: tuple[bytes, bytes]  # what comes before and after the kind of a key
    channel: bytes  # where it is published what got free

    def own(self, kind: bytes, rest: bytes = b"") -> bytes:
        before, after = self.stem
        return before + kind + after + rest

    def tokens(self, token: str) -> bytes:
        """The set that remembers a token: one per four seconds, so that none grows too large to
        go at once. Which one is told by the token itself: its first 9 digits are such a time."""
        return self.own(b"tokens", token[:9].encode())


class Namespace:
    """All keys of one installation. Threads share it."""

    def __init__(self, name: str, partitions: int) -> None:
        self.partitions = partitions
        self._prefix = name.encode() + b":"
        self._tags = tags(partitions)
        self.queue = lru_cache(maxsize=4096)(self._queue)  # 16 keys take a while to spell

    def partition(self, ref: bytes) -> int:
        return zlib.crc32(ref) % self.partitions

    def names(self, partition: int, project: str) -> bytes:
        """The names of the project's queues that are in this partition."""
        return self._key(b"names", partition) + _sized(project)

    def agenda(self, partition: int) -> bytes:
        return self._key(b"agenda", partition)

    def piles(self, partition: int) -> bytes:
        return self._key(b"piles", partition)

    def written(self, partition: int) -> bytes:
        """Written with every step that waits for replicas, so that also one that changed nothing
        waits for what it saw."""
        return self._key(b"written", partition)

    def slot(self, partition: int) -> int:
        return int(key_slot(self.agenda(partition)))

    def _key(self, kind: bytes, partition: int) -> bytes:
        return self._prefix + kind + b"{" + self._tags[partition] + b"}"

    def _queue(self, queue: QueueRef) -> QueueKeys:
        ref = ref_of(queue)
        partition = self.partition(ref)
        before, after = self._prefix, b"{" + self._tags[partition] + b"}" + ref
        own = tuple(before + kind.encode() + after for kind in KINDS)
        shared = (
            self.names(partition, queue.project),
            self.agenda(partition),
            self.piles(partition),
        )
        channel = before + b"heard" + after
        return QueueKeys(partition, ref, _bytes(queue.name), own + shared, (before, after), channel)


def tags(partitions: int) -> list[bytes]:
    """Hash tags whose slots lie evenly over a Cluster; the same ones whenever they are asked for."""
    found = []
    width = REDIS_CLUSTER_HASH_SLOTS // partitions
    for partition in range(partitions):
        number = 0
        while key_slot(b"%d.%d" % (partition, number)) // width != partition:
            number += 1
        found.append(b"%d.%d" % (partition, number))
    return found


def ref_of(queue: QueueRef) -> bytes:
    return _sized(queue.project) + _sized(queue.name)


def queue_of(ref: bytes) -> QueueRef:
    """The inverse of `ref_of`."""
    project, rest = _split(ref)
    name, _ = _split(rest)
    return QueueRef(text(project), text(name))


def pack_id(id: str) -> bytes:
    """An id as it is stored: 32 or 36 hex digits in half of the bytes, another as it is.

    Another is made longer than those two forms, so that the length tells what it is.
    """
    if len(id) == 36 or len(id) == 32:
        try:
            packed = bytes.fromhex(id)
        except ValueError:
            return _OTHER + _bytes(id)
        if packed.hex() == id:  # upper case, blanks: not what the hex digits give back
            return packed
    return _OTHER + _bytes(id)


def unpack_id(packed: bytes) -> str:
    return packed.hex() if len(packed) < len(_OTHER) else text(packed[len(_OTHER) :])


def text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogatepass")


_OTHER: Final = b"~" * 19


def _bytes(any_text: str) -> bytes:
    return any_text.encode("utf-8", "surrogatepass")


def _sized(any_text: str) -> bytes:
    encoded = _bytes(any_text)
    return b"%d:%s" % (len(encoded), encoded)


def _split(sized: bytes) -> tuple[bytes, bytes]:
    digits, _, rest = sized.partition(b":")
    length = int(digits)
    return rest[:length], rest[length:]
