"""What was closed and waits to be sent, cut into batches as RecordNo takes them."""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from google.protobuf.timestamp_pb2 import Timestamp

from fibonacci_service.aggregate import NUMBER, OPERATION, Aggregate, Subject, Tally
from service_kit.pb.stats.stats_pb2 import ErrorKind, ErrorRecord, NumberRecord, OperationRecord, RecordRequest
from service_kit.pb.stats.stats_pb2 import Operation as OperationNumber
from service_kit.trace_context import TraceContext

#: The most entries that stats_service takes in one batch.
MAX_BATCH_ENTRIES = 1_000

Entry = NumberRecord | ErrorRecord | OperationRecord


@dataclass(frozen=True, slots=True)
class _Closed:
    """An aggregate that nothing is added to any more: the entries of it that are in no batch yet."""

    start_time: Timestamp
    end_time: Timestamp
    entries: Iterator[Entry]
    causes: Mapping[TraceContext, set[Subject]]


class Outbox:
    """The batches of one source in their order. The oldest one stays as it is until it is removed.

    A batch is cut when its turn comes: cutting a hundred at once would hold up the event loop.
    """

    def __init__(self, *, source: str) -> None:
        self._source = source
        self._closed: deque[_Closed] = deque()
        self._oldest: RecordRequest | None = None
        self._sequence = 0
        self._filled = asyncio.Event()
        #: How many entries wait, and of how many answered requests they tell; those of the oldest batch are among them.
        self.size = 0
        self.request_count = 0
        #: Requests that the oldest batch tells of, by their spans.
        self.causes: Sequence[TraceContext] = ()

    @property
    def since(self) -> float | None:
        """The time from which on something waits; None where nothing does."""
        oldest = self._oldest or next(iter(self._closed), None)
        return None if oldest is None else oldest.start_time.ToMicroseconds() / 1e6

    async def filled(self) -> None:
        """Returns once something waits."""
        await self._filled.wait()

    def add(self, aggregate: Aggregate, *, end_time: float) -> None:
        """Takes over an aggregate that holds something."""
        end_time = max(aggregate.start_time, end_time)  # the clock may have been set back
        start, end = _timestamp(aggregate.start_time), _timestamp(end_time)
        self._closed.append(_Closed(start, end, _entries(aggregate), aggregate.causes))
        self.size += aggregate.size
        self.request_count += aggregate.request_count
        self._filled.set()

    def oldest(self) -> RecordRequest | None:
        """The batch whose turn it is, the same one until it is removed; None where nothing waits."""
        while self._oldest is None and self._closed:
            self._oldest = self._cut(self._closed[0])
            if self._oldest is None:
                self._closed.popleft()
        if self._oldest is None:
            self._filled.clear()
        return self._oldest

    def remove_oldest(self) -> None:
        if self._oldest is not None:
            self.size -= entry_count(self._oldest)
            self.request_count -= request_count(self._oldest)
            self._oldest = None

    def clear(self) -> None:
        """Gives up everything that waits."""
        self._closed.clear()
        self._oldest = None
        self.size = self.request_count = 0

    def _cut(self, closed: _Closed) -> RecordRequest | None:
        entries = list(islice(closed.entries, MAX_BATCH_ENTRIES))
        if not entries:
            return None
        self._sequence += 1
        self.causes = _causes(closed.causes, entries)
        return RecordRequest(
            source=self._source,
            sequence=self._sequence,
            records=[entry for entry in entries if isinstance(entry, NumberRecord)],
            errors=[entry for entry in entries if isinstance(entry, ErrorRecord)],
            operations=[entry for entry in entries if isinstance(entry, OperationRecord)],
            start_time=closed.start_time,
            end_time=closed.end_time,
        )


def _causes(causes: Mapping[TraceContext, set[Subject]], entries: Sequence[Entry]) -> Sequence[TraceContext]:
    """Those of the entries, which may be a part of the aggregate's."""
    if not causes:
        return ()
    subjects = {_subject(entry) for entry in entries}
    return [context for context, led_to in causes.items() if not subjects.isdisjoint(led_to)]


def _subject(entry: Entry) -> Subject:
    return (OPERATION, entry.operation) if isinstance(entry, OperationRecord) else (NUMBER, entry.n)


def entry_count(batch: RecordRequest) -> int:
    return len(batch.records) + len(batch.errors) + len(batch.operations)


def request_count(batch: RecordRequest) -> int:
    """The answered requests that a batch tells of."""
    return sum(record.count for record in batch.records)


def _entries(aggregate: Aggregate) -> Iterator[Entry]:
    """What the aggregate holds, list by list, each in the order that the contract asks for."""
    for n in sorted(aggregate.tallies):
        yield _record(n, aggregate.tallies[n])
    for (n, kind), count in sorted(aggregate.failures.items()):
        yield ErrorRecord(n=n, kind=ErrorKind.ValueType(kind), count=count)
    for operation, count in sorted(aggregate.operations.items()):
        yield OperationRecord(operation=OperationNumber.ValueType(operation), count=count)


def _record(n: int, tally: Tally) -> NumberRecord:
    buckets = sorted(tally.buckets)
    return NumberRecord(
        n=n,
        count=tally.count,
        cache_hits=tally.cache_hits,
        total_duration=tally.total_ns,
        min_duration=tally.min_ns,
        max_duration=tally.max_ns,
        coalesced=tally.coalesced,
        buckets=buckets,
        bucket_counts=[tally.buckets[bucket] for bucket in buckets],
    )


def _timestamp(seconds: float) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromMicroseconds(int(seconds * 1e6))
    return timestamp
