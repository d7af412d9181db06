"""Bodies on their way in and out of the store: sealed where the queue wants it, and their checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from queueing.core.limits import Limits
from queueing.core.models import Message, QueueRef
from queueing.security.sealing import MARK, Sealer


def sealer(limits: Limits) -> Sealer:
    """The sealer that the configuration asks for.

    :raises SetupError: a key is configured, but the package that encrypts is not installed
    """
    key = limits.message_encryption_key
    return Sealer(key, *limits.message_encryption_former_keys) if key else Sealer()


def owner(queue: QueueRef, id: str) -> bytes:
    """What a sealed body belongs to. Not the queue: a dead letter keeps its id and changes that."""
    return f"{id}:{queue.project}".encode()


def opened(queue: QueueRef, messages: Sequence[Message], sealer: Sealer) -> Sequence[Message]:
    """The messages with plain bodies.

    :raises KeyUnavailable: one of them cannot be opened
    """
    for message in messages:
        if message.body[0] == MARK:
            return [_opened(queue, each, sealer) for each in messages]
    return messages


def _opened(queue: QueueRef, message: Message, sealer: Sealer) -> Message:
    if message.body[0] != MARK:
        return message
    return message._replace(body=sealer.open(message.body, owner(queue, message.id)))


def checksum(body: bytes) -> str:
    """`MD5:` and the digest of the body as `json.dumps` writes it after `json.loads` read it.

    That is what a client in Python computes of the body it received, so numbers count as Python
    reads them (`1e400` is `Infinity`, `0.10000000000000000001` is `0.1`), and of equal keys the last.
    A body that Python does not read (nested too deep, an integer of thousands of digits) counts
    as the text that was posted.
    """
    try:
        text = json.dumps(json.loads(body)).encode()
    except (ValueError, RecursionError):
        text = body
    return f"MD5:{hashlib.md5(text, usedforsecurity=False).hexdigest()}"
