"""Batches of records as fibonacci_service sends them. Pure."""

import random
from collections.abc import Iterator

from service_kit.pb.stats.stats_pb2 import NumberRecord, RecordRequest

BATCH_RECORDS = 1_000
#: What the answers of a record took, in nanoseconds: one that was computed and one from the cache. A batch is of 50 ms,
#: so 1,000 different numbers in it with two answers each are 40,000 answers a second.
DURATIONS_NS = (21_000, 900)
RECORD_REQUESTS = len(DURATIONS_NS)
_SEED = 20_261
#: A time of fewer bits is its own bucket.
_WHOLE_BITS = 5


def rising_batches(source: str, *, numbers: int) -> Iterator[RecordRequest]:
    """As many batches as hold each n below `numbers` once."""
    for sequence, first in enumerate(range(0, numbers, BATCH_RECORDS), 1):
        yield _batch(source, sequence, range(first, min(first + BATCH_RECORDS, numbers)))


def random_batches(source: str, *, below: int, count: int) -> Iterator[RecordRequest]:
    """Each of 1,000 different n below the bound, and every time the same ones for a source."""
    choice = random.Random(f"{_SEED} {source}")  # noqa: S311 - a choice that can be made again
    for sequence in range(1, count + 1):
        yield _batch(source, sequence, sorted(choice.sample(range(below), BATCH_RECORDS)))


def bucket_of(duration_ns: int) -> int:
    """The bucket of a time, as the contract has it."""
    bits = duration_ns.bit_length()
    return duration_ns if bits < _WHOLE_BITS else 8 * (bits - 4) + (duration_ns >> (bits - 4))


def _batch(source: str, sequence: int, indices: "range | list[int]") -> RecordRequest:
    batch = RecordRequest(source=source, sequence=sequence, records=[_record(n) for n in indices])
    batch.start_time.GetCurrentTime()
    batch.end_time.GetCurrentTime()
    return batch


def _record(n: int) -> NumberRecord:
    buckets = sorted(map(bucket_of, DURATIONS_NS))
    return NumberRecord(
        n=n,
        count=RECORD_REQUESTS,
        cache_hits=RECORD_REQUESTS - 1,
        total_duration=sum(DURATIONS_NS),
        min_duration=min(DURATIONS_NS),
        max_duration=max(DURATIONS_NS),
        buckets=buckets,
        bucket_counts=[1] * len(buckets),
    )
