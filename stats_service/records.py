"""The entries of a batch, and what must hold of each. Pure; durations in nanoseconds."""

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from stats_service.errors import RecordRefused
from stats_service.histogram import MAX_BUCKET, Histogram, bucket_of
from stats_service.measures import MAX_DURATION_NS

#: Far above what is real, and far below what the sums of a 64-bit store can hold.
MAX_COUNT = 10**9
MAX_TOTAL_NS = 10**15
#: Kinds of errors and operations that newer senders may add are counted as well, but not without bound.
MAX_KIND = 31

#: What must hold, the field that it is about, and how its bound is told.
Rule = tuple[bool, str, str]

_NOT_NEGATIVE = "must be 0 or more"
_COUNT = f"must be from 1 to {MAX_COUNT}"
_KIND = f"must be from 1 to {MAX_KIND}"
_BUCKET = f"must be at most {MAX_BUCKET}"
_TOTAL = f"must be from count * min_duration to count * max_duration, and at most {MAX_TOTAL_NS}"


class NumberRecord(NamedTuple):
    """What happened to one number over the time of a batch. The histogram is empty where the sender keeps none."""

    n: int
    count: int  # type: ignore[assignment]  # it hides the method of a tuple
    cache_hits: int = 0
    coalesced: int = 0
    total_ns: int = 0
    min_ns: int = 0
    max_ns: int = 0
    histogram: Histogram = MappingProxyType({})

    def rules(self) -> Iterable[Rule]:
        others = self.count - self.cache_hits
        total_fits = self.count * self.min_ns <= self.total_ns <= min(self.count * self.max_ns, MAX_TOTAL_NS)
        adds_up = not self.histogram or sum(self.histogram.values()) == self.count
        return (
            (self.n >= 0, "n", _NOT_NEGATIVE),
            (1 <= self.count <= MAX_COUNT, "count", _COUNT),
            (0 <= self.cache_hits <= self.count, "cache_hits", "must be from 0 to count"),
            (0 <= self.coalesced <= others, "coalesced", "must be from 0 to count - cache_hits"),
            (self.min_ns >= 0, "min_duration", _NOT_NEGATIVE),
            (self.max_ns >= self.min_ns, "max_duration", "must be min_duration or more"),
            (total_fits, "total_duration", _TOTAL),
            (adds_up, "bucket_counts", "must add up to count"),
        )


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """Requests for one number that got no answer, by the number of stats.ErrorKind."""

    n: int
    kind: int
    count: int

    def rules(self) -> Iterable[Rule]:
        return (
            (self.n >= 0, "n", _NOT_NEGATIVE),
            (1 <= self.kind <= MAX_KIND, "kind", _KIND),
            (1 <= self.count <= MAX_COUNT, "count", _COUNT),
        )


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """Uses of one operation, by the number of stats.Operation."""

    operation: int
    count: int

    def rules(self) -> Iterable[Rule]:
        return (
            (1 <= self.operation <= MAX_KIND, "operation", _KIND),
            (1 <= self.count <= MAX_COUNT, "count", _COUNT),
        )


def single(n: int, duration_ns: int) -> NumberRecord:
    """One request as the first version of the contract reports it. Raises RecordRefused."""
    require(n >= 0, "n", _NOT_NEGATIVE)
    require(0 <= duration_ns <= MAX_DURATION_NS, "duration", f"must be from 0 to {MAX_DURATION_NS}")
    return NumberRecord(n, 1, 0, 0, duration_ns, duration_ns, duration_ns, {bucket_of(duration_ns): 1})


def histogram_of(buckets: list[int], counts: list[int], position: int) -> Histogram:
    """The histogram that two lists spell, for the record at a position. Raises RecordRefused."""
    refuse_first_broken(
        (
            (len(buckets) == len(counts), "bucket_counts", "must be as many as buckets"),
            (buckets == sorted(set(buckets)), "buckets", "must rise"),
            (not buckets or buckets[-1] <= MAX_BUCKET, "buckets", _BUCKET),
            (not counts or min(counts) >= 1, "bucket_counts", "must be 1 or more"),
        ),
        "records",
        position,
    )
    return dict(zip(buckets, counts, strict=True))


def refuse_first_broken(rules: Iterable[Rule], name: str, position: int) -> None:
    """Raises RecordRefused for the first rule that does not hold of the entry at a position of a list."""
    for holds, field, bound in rules:
        if not holds:
            raise RecordRefused(f"{name}[{position}].{field}", bound)


def require(holds: bool, field: str, bound: str) -> None:  # noqa: FBT001 - it reads as an assertion
    """Raises RecordRefused unless it holds."""
    if not holds:
        raise RecordRefused(field, bound)
