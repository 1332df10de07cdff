"""What was recorded, merged and summed. Pure. Times are in nanoseconds."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stats_service.errors import PageSizeOutOfRange, RecordRefused

MAX_BATCH_RECORDS = 1_000
MAX_PAGE_SIZE = 1_000
DEFAULT_PAGE_SIZE = 100

#: Bounds of one record, far above what is real and far below what the sums of a 64-bit store can hold.
MAX_COUNT = 10**9
MAX_TOTAL_NS = 10**15

_SOURCE = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class NumberTotals:
    """What happened to one number, over a batch or over all time."""

    n: int
    count: int
    cache_hits: int
    total_ns: int
    min_ns: int
    max_ns: int

    def merged(self, other: "NumberTotals") -> "NumberTotals":
        """Both together, for the same number."""
        return NumberTotals(
            n=self.n,
            count=self.count + other.count,
            cache_hits=self.cache_hits + other.cache_hits,
            total_ns=self.total_ns + other.total_ns,
            min_ns=min(self.min_ns, other.min_ns),
            max_ns=max(self.max_ns, other.max_ns),
        )

    def check(self, field: str) -> None:
        """Raises RecordRefused where the numbers cannot be true."""
        _require(self.n >= 0, f"{field}.n", "must be 0 or more")
        _require(1 <= self.count <= MAX_COUNT, f"{field}.count", f"must be from 1 to {MAX_COUNT}")
        _require(0 <= self.cache_hits <= self.count, f"{field}.cache_hits", "must be from 0 to count")
        _require(self.min_ns >= 0, f"{field}.min_duration", "must be 0 or more")
        _require(self.max_ns >= self.min_ns, f"{field}.max_duration", "must be min_duration or more")
        _require(self.total_ns <= MAX_TOTAL_NS, f"{field}.total_duration", f"must be at most {MAX_TOTAL_NS}")
        total_fits = self.count * self.min_ns <= self.total_ns <= self.count * self.max_ns
        _require(total_fits, f"{field}.total_duration", "must be from count * min_duration to count * max_duration")


@dataclass(frozen=True, slots=True)
class Batch:
    """Records to apply together or not at all. Only a batch with a source can be told from its own repeat."""

    records: Sequence[NumberTotals]
    source: str = ""
    sequence: int = 0

    @property
    def count(self) -> int:
        return sum(record.count for record in self.records)

    def check(self) -> None:
        """Raises RecordRefused."""
        _require(_SOURCE.fullmatch(self.source) is not None, "source", "must be 1 to 64 of A-Z a-z 0-9 . _ -")
        _require(self.sequence >= 1, "sequence", "must be 1 or more")
        size = len(self.records)
        _require(1 <= size <= MAX_BATCH_RECORDS, "records", f"must be 1 to {MAX_BATCH_RECORDS}, not {size}")
        for position, record in enumerate(self.records):
            record.check(f"records[{position}]")
        for position in range(1, size):
            rises = self.records[position - 1].n < self.records[position].n
            _require(rises, f"records[{position}].n", "must be above the record before it")


@dataclass(frozen=True, slots=True)
class Summary:
    """The totals over every number, and the busiest numbers, the busiest first (the smaller n among equals)."""

    total_requests: int
    total_cache_hits: int
    numbers: Sequence[NumberTotals]


def single_record(n: int, duration_ns: int) -> Batch:
    """One request as the first version of the contract reports it. Raises RecordRefused."""
    _require(n >= 0, "n", "must be 0 or more")
    _require(0 <= duration_ns <= MAX_TOTAL_NS, "duration", f"must be from 0 to {MAX_TOTAL_NS}")
    return Batch(records=(NumberTotals(n, 1, 0, duration_ns, duration_ns, duration_ns),))


def summarize(numbers: Iterable[NumberTotals], *, limit: int) -> Summary:
    everything = list(numbers)
    return Summary(
        total_requests=sum(number.count for number in everything),
        total_cache_hits=sum(number.cache_hits for number in everything),
        numbers=sorted(everything, key=lambda number: (-number.count, number.n))[:limit],
    )


def page_size_of(asked: int) -> int:
    """The page size for what was asked, where 0 means the default. Raises PageSizeOutOfRange."""
    if not 0 <= asked <= MAX_PAGE_SIZE:
        raise PageSizeOutOfRange(asked, MAX_PAGE_SIZE)
    return asked or DEFAULT_PAGE_SIZE


def _require(holds: bool, field: str, bound: str) -> None:  # noqa: FBT001 - it reads as an assertion
    if not holds:
        raise RecordRefused(field, bound)
