"""What is kept of one number, or of several together. Pure; durations in nanoseconds, times of day in epoch seconds.

Named tuples where a batch makes a thousand: a frozen dataclass takes four times as long to make.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from stats_service.histogram import Histogram, percentile_ns

#: Sums stop here instead of overflowing 64 bits: 253 years of computing.
MOST = 8 * 10**18
#: The longest time of one answer, and so the neutral element of the shortest: of no answer at all.
MAX_DURATION_NS = 10**15

#: How many of each kind, by the number of stats.ErrorKind.
ErrorCounts = Mapping[int, int]


class Measures(NamedTuple):
    """What happened. `count` is of answered requests, and so is every measure but `errors`.

    `first_seen` is 0 where it was before such times were kept. The histogram may know fewer times than there were.
    """

    count: int = 0  # type: ignore[assignment]  # the measure hides the method of a tuple
    cache_hits: int = 0
    coalesced: int = 0
    total_ns: int = 0
    min_ns: int = MAX_DURATION_NS
    max_ns: int = 0
    first_seen: float = 0.0
    last_seen: float = 0.0
    errors: ErrorCounts = MappingProxyType({})
    histogram: Histogram = MappingProxyType({})

    @property
    def cache_misses(self) -> int:
        return self.count - self.cache_hits - self.coalesced

    @property
    def mean_ns(self) -> float:
        return self.total_ns / self.count if self.count else 0.0

    @property
    def shortest_ns(self) -> int:
        """0 of no answer at all."""
        return self.min_ns if self.count else 0

    def percentile_ns(self, share: float) -> float | None:
        """Not outside the shortest and the longest, which are exact. None where no histogram is kept."""
        found = percentile_ns(self.histogram, share)
        return None if found is None else min(max(found, self.shortest_ns), self.max_ns)

    def without_histogram(self) -> "Measures":
        return self._replace(histogram={}) if self.histogram else self

    def merged(self, other: "Measures") -> "Measures":
        """Both together."""
        return Measures(
            count=min(MOST, self.count + other.count),
            cache_hits=min(MOST, self.cache_hits + other.cache_hits),
            coalesced=min(MOST, self.coalesced + other.coalesced),
            total_ns=min(MOST, self.total_ns + other.total_ns),
            min_ns=min(self.min_ns, other.min_ns),
            max_ns=max(self.max_ns, other.max_ns),
            first_seen=min(self.first_seen, other.first_seen),
            last_seen=max(self.last_seen, other.last_seen),
            errors=_summed(self.errors, other.errors),
            histogram=_summed(self.histogram, other.histogram),
        )


class NumberMeasures(NamedTuple):
    n: int
    measures: Measures


@dataclass(frozen=True, slots=True)
class MinuteTotals:
    """What happened in one minute: `minute` is its number since the epoch."""

    minute: int
    count: int
    cache_hits: int
    coalesced: int
    errors: int
    total_ns: int

    def merged(self, other: "MinuteTotals") -> "MinuteTotals":
        return MinuteTotals(
            self.minute,
            min(MOST, self.count + other.count),
            min(MOST, self.cache_hits + other.cache_hits),
            min(MOST, self.coalesced + other.coalesced),
            min(MOST, self.errors + other.errors),
            min(MOST, self.total_ns + other.total_ns),
        )


def _summed(one: Mapping[int, int], other: Mapping[int, int]) -> Mapping[int, int]:
    if not one or not other:
        return one or other
    return {key: min(MOST, one.get(key, 0) + other.get(key, 0)) for key in one.keys() | other.keys()}
