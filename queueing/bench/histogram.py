"""Times in buckets: a thousand numbers tell the percentiles of any number of requests, within 2 %."""

from __future__ import annotations

from array import array

FINENESS = 5  # bits below the highest one: 32 buckets from a power of two to the next
BUCKETS = 42 << FINENESS  # up to 2^42 ns, more than an hour


class Histogram:
    """Durations in nanoseconds. Adding is cheap, merging is exact."""

    __slots__ = ("buckets", "count", "largest", "total")

    def __init__(self) -> None:
        self.buckets = array("Q", bytes(8 * BUCKETS))
        self.count = 0
        self.total = 0
        self.largest = 0

    def add(self, nanoseconds: int) -> None:
        exponent = nanoseconds.bit_length() - FINENESS - 1
        bucket = (
            nanoseconds if exponent <= 0 else (exponent << FINENESS) + (nanoseconds >> exponent)
        )
        self.buckets[min(bucket, BUCKETS - 1)] += 1
        self.count += 1
        self.total += nanoseconds
        self.largest = max(self.largest, nanoseconds)

    def merge(self, other: Histogram) -> None:
        for bucket, number in enumerate(other.buckets):
            if number:
                self.buckets[bucket] += number
        self.count += other.count
        self.total += other.total
        self.largest = max(self.largest, other.largest)

    def percentile(self, share: float) -> float:
        """Nanoseconds within which `share` (0..1) of all were done; 0 if there are none."""
        if not self.count:
            return 0.0
        wanted = max(1, -int(-share * self.count // 1))
        seen = 0
        for bucket, number in enumerate(self.buckets):
            seen += number
            if seen >= wanted:
                return min(_middle(bucket), float(self.largest))
        return float(self.largest)


def _middle(bucket: int) -> float:
    exponent = (bucket >> FINENESS) - 1
    if exponent <= 0:
        return float(bucket)
    lowest = (bucket - (exponent << FINENESS)) << exponent
    return lowest + ((1 << exponent) - 1) / 2
