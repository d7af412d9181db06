"""Numbers of messages: rowids that are found from ids, so that ids need no index of their own.

An id leads to its first number: 42 bits of the time in its token, so that neighbours in time are
neighbours in the table, then 20 bits out of all of the token, plus its index in the post. If that
number is taken by another message, the next free one of `PROBES` is given; so looking for an id means
looking at that many numbers, of which hardly more than one is ever in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from zlib import crc32

from queueing.core.models import message_id

PROBES: Final = 64

_TIME: Final = (
    1 << 42
) - 1  # milliseconds; comes round in the year 2109, which costs nearness only
_SPREAD: Final = (1 << 20) - 1
_INDEXES: Final = 1 << 16
"""Posts up to this size have ids that differ in their last four digits only."""


def first_number(id: str) -> int:
    """Where to begin to look for the message with this id. Any text will do as an id."""
    token, index = id[:-4], id[-4:]
    return _base(token) + _hexadecimal(index)


def first_numbers(token: str, count: int) -> Sequence[int]:
    """Where to begin for each of the messages of a post."""
    if count <= _INDEXES:
        first = _base(token)
        return range(first, first + count)
    return [first_number(message_id(token, index)) for index in range(count)]


def _base(token: str) -> int:
    spread = crc32(token.encode("utf-8", "surrogatepass")) & _SPREAD
    return ((_hexadecimal(token[:12]) & _TIME) << 20) + spread


def _hexadecimal(digits: str) -> int:
    try:
        return int(digits, 16) & 0xFFFF_FFFF_FFFF
    except ValueError:
        return 0
