"""The sums that facts are added up to while they wait: so much for each number, however many requests there were."""

from dataclasses import dataclass, field
from typing import Final, Literal

from fibonacci_service.observations import Failure, FailureKind, Operation, Origin
from service_kit.trace_context import TraceContext

#: Above every time that a request can take.
_NO_TIME_YET_NS = (1 << 63) - 1
#: The most requests that an aggregate knows by their spans.
MAX_CAUSES = 64
#: The most entries that it knows each of them to have led to.
MAX_SUBJECTS = 32

NUMBER: Final = "number"
OPERATION: Final = "operation"
#: What an entry is about: a number or an operation.
Subject = tuple[Literal["number", "operation"], int]


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

    def add(self, duration_ns: int, origin: Origin, times: int = 1) -> None:
        self.count += times
        self.total_ns += duration_ns * times
        if duration_ns < self.min_ns:  # noqa: PLR1730 - this is the hot path, and min() takes a call
            self.min_ns = duration_ns
        if duration_ns > self.max_ns:  # noqa: PLR1730 - likewise
            self.max_ns = duration_ns
        bucket = bucket_of(duration_ns)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + times
        if origin == "cache":
            self.cache_hits += times
        elif origin == "coalesced":
            self.coalesced += times


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
    #: Some of the requests that it tells of, where these are traced, each with what some of its entries are about.
    causes: dict[TraceContext, set[Subject]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many sums it holds, which is what it takes of memory and of batches."""
        return len(self.tallies) + len(self.failures) + len(self.operations)

    @property
    def request_count(self) -> int:
        """The answered requests that it tells of."""
        return sum(tally.count for tally in self.tallies.values())

    def add_failure(self, failure: Failure) -> None:
        key = (failure.n, failure.kind)
        self.failures[key] = self.failures.get(key, 0) + 1

    def add_operation(self, operation: Operation) -> None:
        self.operations[operation] = self.operations.get(operation, 0) + 1

    def add_cause(self, subject: Subject, context: TraceContext) -> None:
        """Says which request led to an entry; those beyond MAX_CAUSES are left out."""
        subjects = self.causes.get(context)
        if subjects is not None:
            if len(subjects) < MAX_SUBJECTS:
                subjects.add(subject)
        elif len(self.causes) < MAX_CAUSES:
            self.causes[context] = {subject}
