import pytest

from bench.stats.batches import RECORD_REQUESTS, bucket_of, random_batches, rising_batches
from stats_service.messages import batch_of


def test_rising_batches_hold_each_number_once() -> None:
    batches = list(rising_batches("fill", numbers=2_500))

    assert [batch.sequence for batch in batches] == [1, 2, 3]
    assert [record.n for batch in batches for record in batch.records] == list(range(2_500))


def test_random_batches_of_a_source_are_the_same_every_time() -> None:
    first, again = (
        [[record.n for record in batch.records] for batch in random_batches("a", below=5_000, count=2)]
        for _ in range(2)
    )
    [[*other]] = [[record.n for record in batch.records] for batch in random_batches("b", below=5_000, count=1)]

    assert first == again
    assert first[0] != first[1] != other
    assert all(len(set(indices)) == 1_000 and indices == sorted(indices) for indices in first)


def test_stats_service_takes_the_batches() -> None:
    for batch in (*rising_batches("fill", numbers=1_000), *random_batches("a", below=1_000, count=1)):
        assert batch_of(batch).count == 1_000 * RECORD_REQUESTS


@pytest.mark.parametrize(
    ("duration_ns", "bucket"), [(0, 0), (15, 15), (16, 16), (17, 16), (31, 23), (32, 24), (900, 62), (21_000, 98)]
)
def test_a_bucket_is_that_of_the_contract(duration_ns: int, bucket: int) -> None:
    assert bucket_of(duration_ns) == bucket
