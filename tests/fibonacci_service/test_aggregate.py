from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibonacci_service.aggregate import Aggregate, Tally, bucket_of
from fibonacci_service.observations import Failure, FailureKind, Operation, Origin

#: The longest time that the contract has a bucket for.
LAST_NS = (1 << 50) - 1
times = st.integers(0, 50).flatmap(lambda bits: st.integers(0, (1 << bits) - 1))


def bounds_of(bucket: int) -> tuple[int, int]:
    """The oracle: the shortest and the longest time in a bucket, by the layout that stats.proto describes."""
    if bucket < 16:
        return bucket, bucket
    more_bits, leading = divmod(bucket, 8)
    width = 1 << (more_bits - 1)
    return (8 + leading) * width, (9 + leading) * width - 1


@given(times)
def test_a_time_lies_within_its_bucket_and_at_most_a_sixteenth_off_its_middle(duration_ns: int) -> None:
    shortest, longest = bounds_of(bucket_of(duration_ns))

    assert shortest <= duration_ns <= longest
    assert abs((shortest + longest) / 2 - duration_ns) <= duration_ns / 16


def test_the_buckets_adjoin_and_the_last_is_383() -> None:
    assert [bounds_of(bucket)[1] + 1 for bucket in range(383)] == [bounds_of(bucket)[0] for bucket in range(1, 384)]
    for bucket in range(384):
        assert {bucket_of(edge) for edge in bounds_of(bucket)} == {bucket}
    assert bucket_of(LAST_NS) == 383


@given(st.lists(times, min_size=1, max_size=200))
def test_a_tally_sums_its_times_and_its_histogram_adds_up(durations: list[int]) -> None:
    tally = Tally()
    for duration_ns in durations:
        tally.add(duration_ns, "computed")

    assert (tally.count, tally.total_ns) == (len(durations), sum(durations))
    assert (tally.min_ns, tally.max_ns) == (min(durations), max(durations))
    assert tally.buckets == Counter(map(bucket_of, durations))
    assert sum(tally.buckets.values()) == tally.count


@pytest.mark.parametrize(("origin", "counts"), [("cache", (1, 0)), ("computed", (0, 0)), ("coalesced", (0, 1))])
def test_a_tally_counts_where_its_answers_came_from(origin: Origin, counts: tuple[int, int]) -> None:
    tally = Tally()
    tally.add(1_000, origin)

    assert (tally.cache_hits, tally.coalesced) == counts


def test_an_aggregate_is_as_large_as_it_has_different_sums() -> None:
    aggregate = Aggregate(start_time=0)
    aggregate.tallies[10] = Tally()
    for kind in (FailureKind.CANCELLED, FailureKind.CANCELLED, FailureKind.INTERNAL):
        aggregate.add_failure(Failure(10, kind))
    for operation in (Operation.RANGE, Operation.RANGE, Operation.RESIDUE):
        aggregate.add_operation(operation)

    assert aggregate.failures == {(10, FailureKind.CANCELLED): 2, (10, FailureKind.INTERNAL): 1}
    assert aggregate.operations == {Operation.RANGE: 2, Operation.RESIDUE: 1}
    assert aggregate.size == 5
