"""Latencies as counts in buckets that grow with the value: small, exact to 0.4 %, and mergeable.

The layout is that of an HDR histogram. A number below 256 has a bucket of its own; above, every doubling is divided
into 128 equal buckets. So a bucket is never wider than 1/128 of its values, and its middle is off by at most 0.4 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_EXACT_BITS = 8
_PER_DOUBLING = 1 << (_EXACT_BITS - 1)
_LONGEST_BITS = 42  # 2**42 ns is more than an hour
_BUCKETS = (_LONGEST_BITS - _EXACT_BITS + 2) * _PER_DOUBLING
_NANOSECONDS = 1e9


class Histogram:
    """Counts of durations in seconds, from a nanosecond to an hour. One thread records; merge those of several."""

    __slots__ = ("_counts", "count", "longest", "shortest", "total")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.total = 0.0
        """Sum of all durations, seconds."""
        self.shortest = float("inf")
        self.longest = 0.0

    def record(self, seconds: float) -> None:
        """Count one duration; what is negative or too long is counted at the end of the scale that it is beyond."""
        nanoseconds = min(max(0, int(seconds * _NANOSECONDS)), (1 << _LONGEST_BITS) - 1)
        shift = max(0, nanoseconds.bit_length() - _EXACT_BITS)
        self._counts[shift * _PER_DOUBLING + (nanoseconds >> shift)] += 1
        self.count += 1
        self.total += seconds
        if seconds > self.longest:
            self.longest = seconds
        if seconds < self.shortest:
            self.shortest = seconds

    def merge(self, other: Histogram) -> None:
        """Add what another histogram has counted."""
        self._counts = [a + b for a, b in zip(self._counts, other._counts, strict=True)]
        self.count += other.count
        self.total += other.total
        self.shortest = min(self.shortest, other.shortest)
        self.longest = max(self.longest, other.longest)

    @property
    def mean(self) -> float:
        """Seconds; 0 where nothing was counted."""
        return self.total / self.count if self.count else 0.0

    def percentiles(self, fractions: Sequence[float]) -> list[float]:
        """For each fraction from 0 to 1, ascending, the seconds within which that part of the counted durations lies.

        0 where nothing was counted. Raises ValueError where the fractions do not ascend or are none.
        """
        if list(fractions) != sorted(fractions) or not all(0 <= f <= 1 for f in fractions):
            raise ValueError(f"percentiles takes fractions from 0 to 1 in ascending order, not {list(fractions)}")
        if not self.count:
            return [0.0] * len(fractions)
        found: list[float] = []
        seen, buckets = 0, enumerate(self._counts)
        index = 0
        for fraction in fractions:
            # Rounded, because 0.999 x 1000 is a little above 999 in binary.
            needed = max(1, -int(-round(fraction * self.count, 6) // 1))
            while seen < needed:
                index, count = next(buckets)
                seen += count
            found.append(min(self.longest, max(self.shortest, _middle(index))))
        return found

    def percentile(self, fraction: float) -> float:
        """As percentiles, for one fraction."""
        return self.percentiles([fraction])[0]


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """One histogram of all."""
    everything = Histogram()
    for histogram in histograms:
        everything.merge(histogram)
    return everything


def _middle(index: int) -> float:
    """The seconds in the middle of a bucket."""
    shift = max(0, index // _PER_DOUBLING - 1)
    lowest = (index - shift * _PER_DOUBLING) << shift
    return (lowest + ((1 << shift) - 1) / 2) / _NANOSECONDS
