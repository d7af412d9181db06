"""Markers of message listings: a position in one queue, as a text that only fits that queue."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from queueing.core.models import QueueRef

START: Final = 0
_MARKER = re.compile(r"(0|[1-9a-f][0-9a-f]{0,15})-([0-9a-f]{16})")


def write(queue: QueueRef, sequence: int) -> str:
    """The marker of the place behind the message with this sequence."""
    return f"{sequence:x}-{_tag(queue)}"


def read(queue: QueueRef, marker: str) -> int | None:
    """The sequence that the marker stands for; None if it is malformed or another queue's."""
    parts = _MARKER.fullmatch(marker)
    if parts is None or parts[2] != _tag(queue):
        return None
    sequence = int(parts[1], 16)
    return sequence if sequence < 1 << 63 else None


def _tag(queue: QueueRef) -> str:
    # The length keeps apart pairs whose texts put together are the same.
    text = f"{len(queue.project)}:{queue.project}{queue.name}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
