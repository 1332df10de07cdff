"""The sums that facts are added up to while they wait: so much for each number, however many requests there were."""

from dataclasses import dataclass, field

from fibonacci_service.observations import Failure, FailureKind, Operation, Origin

#: Above every time that a request can take.
_NO_TIME_YET_NS = (1 << 63) - 1


@dataclass(slots=True)
class Tally:
    """What happened to one number; times in nanoseconds."""

    count: int = 0
    cache_hits: int = 0
    coalesced: int = 0
    total_ns: int = 0
    min_ns: int = _NO_TIME_YET_NS
    max_ns: int = 0
    #: The histogram: how many times fell into which bucket.
    buckets: dict[int, int] = field(default_factory=dict)

    def add(self, duration_ns: int, origin: Origin) -> None:
        self.count += 1
        self.total_ns += duration_ns
        if duration_ns < self.min_ns:  # noqa: PLR1730 - this is the hot path, and min() takes a call
            self.min_ns = duration_ns
        if duration_ns > self.max_ns:  # noqa: PLR1730 - likewise
            self.max_ns = duration_ns
        bucket = bucket_of(duration_ns)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        if origin == "cache":
            self.cache_hits += 1
        elif origin == "coalesced":
            self.coalesced += 1


def bucket_of(duration_ns: int) -> int:
    """The bucket of a time, log-linear as the contract has it: by the count of its bits and the 4 leading ones."""
    shift = duration_ns.bit_length() - 4
    return duration_ns if shift < 1 else 8 * shift + (duration_ns >> shift)


@dataclass(slots=True)
class Aggregate:
    """What happened from `start_time` on, in seconds since the epoch."""

    start_time: float
    tallies: dict[int, Tally] = field(default_factory=dict)
    failures: dict[tuple[int, FailureKind], int] = field(default_factory=dict)
    operations: dict[Operation, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many sums it holds, which is what it takes of memory and of batches."""
        return len(self.tallies) + len(self.failures) + len(self.operations)

    def add_failure(self, failure: Failure) -> None:
        key = (failure.n, failure.kind)
        self.failures[key] = self.failures.get(key, 0) + 1

    def add_operation(self, operation: Operation) -> None:
        self.operations[operation] = self.operations.get(operation, 0) + 1
