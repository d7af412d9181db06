"""Numbers in memory that the processes of a node share, in the files that prometheus-client merges.

prometheus-client makes the files and reads them. Adding to a number is done here, in an eighth of the time:
it takes a lock and finds the number's place anew each time, which would be most of what metrics cost.
What a process has added stays when it is killed.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.utils import floatToGoString

from queueing.metrics.families import Family

PREFIX: Final = {"counter": "counter", "histogram": "histogram", "gauge": "gauge_livesum"}


class Cell(NamedTuple):
    """One number: `numbers[at]`. Whoever changes it holds the lock of its `Cells`."""

    numbers: memoryview[float]
    at: int


class Timer(NamedTuple):
    """A histogram with certain labels: a number per bucket, the last for what is above all, and the sum."""

    numbers: memoryview[float]
    bounds: tuple[float, ...]
    buckets: tuple[int, ...]
    sum: int

    def add(self, seconds: float) -> None:
        numbers, bounds, buckets, total = self
        numbers[buckets[bisect_left(bounds, seconds)]] += 1.0
        numbers[total] += seconds


class Cells:
    """Those of one process. Not thread safe."""

    def __init__(self, directory: Path, slot: int) -> None:
        self._files = {
            kind: _File(directory / f"{prefix}_{slot}.db") for kind, prefix in PREFIX.items()
        }

    def cell(self, family: Family, *values: str) -> Cell:
        """The number of a counter or gauge with these values of its labels."""
        return self._cell(family, family.name, family.labels, values)

    def timer(self, family: Family, *values: str) -> Timer:
        names = (*family.labels, "le")
        bucket = f"{family.name}_bucket"
        bounds = [floatToGoString(bound) for bound in (*family.buckets, float("inf"))]
        buckets = [self._cell(family, bucket, names, (*values, bound)).at for bound in bounds]
        # The last view of the file has all places in it.
        numbers, total = self._cell(family, f"{family.name}_sum", family.labels, values)
        return Timer(numbers, family.buckets, tuple(buckets), total)

    def close(self) -> None:
        """Let go of the files; what was added stays in them."""
        for file in self._files.values():
            file.close()

    def _cell(
        self, family: Family, name: str, labels: tuple[str, ...], values: tuple[str, ...]
    ) -> Cell:
        of = family.name.removesuffix("_total")
        shown = [value.encode("utf-8", "backslashreplace").decode() for value in values]
        return self._files[family.kind].cell(mmap_key(of, name, list(labels), shown, family.help))


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._places = MmapedDict(str(path))
        self._numbers: memoryview[float] = memoryview(b"").cast("d")

    def cell(self, key: str) -> Cell:
        self._places.read_value(key)  # gives it a place, if it has none
        at = self._places._positions[key] // 8  # a multiple of 8: that is how the file is laid out
        if at >= len(self._numbers):  # it has grown; older views of it stay good
            with self._path.open("r+b") as file:
                self._numbers = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")
        return Cell(self._numbers, at)

    def close(self) -> None:
        self._places.close()
