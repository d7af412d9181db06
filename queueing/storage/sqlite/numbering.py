"""Numbers of messages: rowids that are found from ids, so that ids need no index of their own.

An id leads to its first number: 42 bits of the time in its token, so that neighbours in time are
neighbours in the table, then 20 bits out of all of the token. The messages of a post lie in blocks,
since they are read together, and the blocks are strewn over the same 20 bits, so that long posts do
not run into each other. If a number is taken by another message, the next free one of `PROBES` is
given; so looking for an id means looking at that many numbers, of which hardly more than one is
ever in use.
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
_BLOCK: Final = 16
_STRIDE: Final = 40_503 * _BLOCK  # an odd number of blocks, near the golden section of the spread
_INDEXES: Final = 1 << 16
"""Posts up to this size have ids that differ in their last four digits only."""


def first_number(id: str) -> int:
    """Where to begin to look for the message with this id. Any text will do as an id."""
    time, spread = _base(id[:-4])
    return _number(time, spread, _hexadecimal(id[-4:]))


def first_numbers(token: str, count: int) -> Sequence[int]:
    """Where to begin for each of the messages of a post."""
    time, spread = _base(token)
    if count <= _BLOCK:
        first = time + spread
        return range(first, first + count)
    if count <= _INDEXES:
        return [_number(time, spread, index) for index in range(count)]
    return [first_number(message_id(token, index)) for index in range(count)]


def _base(token: str) -> tuple[int, int]:
    spread = crc32(token.encode("utf-8", "surrogatepass")) & _SPREAD
    return (_hexadecimal(token[:12]) & _TIME) << 20, spread


def _number(time: int, spread: int, index: int) -> int:
    block, rest = divmod(index, _BLOCK)
    return time + (spread + block * _STRIDE & _SPREAD) + rest


def _hexadecimal(digits: str) -> int:
    try:
        return int(digits, 16) & 0xFFFF_FFFF_FFFF
    except ValueError:
        return 0
