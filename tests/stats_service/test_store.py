"""The behaviour of every store: one suite over the one in memory and the one in SQLite."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stats_service.store import MemoryStore, StatsStore
from stats_service.store_sql import open_sqlite
from stats_service.summary import Batch, NumberTotals, Summary


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> AsyncIterator[StatsStore]:
    if request.param == "memory":
        yield MemoryStore(clock=clock)
        return
    async with open_sqlite(tmp_path / "stats.sqlite3", clock=clock) as store:
        yield store


def totals(n: int, count: int = 1, hits: int = 0, *, each_ns: int = 100) -> NumberTotals:
    return NumberTotals(n, count, hits, count * each_ns, each_ns, each_ns)


def batch(sequence: int, *records: NumberTotals, source: str = "life-1") -> Batch:
    return Batch(records, source=source, sequence=sequence)


async def counts(store: StatsStore, *, limit: int = 1_000) -> dict[int, int]:
    return {number.n: number.count for number in (await store.summary(limit=limit)).numbers}


async def test_a_new_store_is_empty(store: StatsStore) -> None:
    assert await store.summary(limit=100) == Summary(0, 0, [])


async def test_a_batch_is_applied_whole(store: StatsStore) -> None:
    assert await store.record(batch(1, totals(10, 3, 2), totals(20, 1)))

    assert await store.summary(limit=100) == Summary(4, 2, [totals(10, 3, 2), totals(20, 1)])


async def test_what_is_recorded_of_a_number_adds_up(store: StatsStore) -> None:
    await store.record(batch(1, NumberTotals(10, 2, 1, total_ns=30, min_ns=10, max_ns=20)))
    await store.record(batch(2, NumberTotals(10, 3, 3, total_ns=15, min_ns=5, max_ns=5)))
    await store.record(batch(3, NumberTotals(10, 1, 0, total_ns=99, min_ns=99, max_ns=99)))

    assert await store.summary(limit=100) == Summary(6, 4, [NumberTotals(10, 6, 4, 144, 5, 99)])


@pytest.mark.parametrize("repeated", [1, 2, 3])
async def test_a_sequence_that_is_not_above_the_last_changes_nothing(store: StatsStore, repeated: int) -> None:
    await store.record(batch(3, totals(10)))

    assert not await store.record(batch(repeated, totals(10), totals(20)))

    assert await store.summary(limit=100) == Summary(1, 0, [totals(10)])


async def test_a_gap_in_the_sequence_is_legal(store: StatsStore) -> None:
    assert await store.record(batch(1, totals(10)))
    assert await store.record(batch(1_000, totals(10)))
    assert await store.record(batch(2**63 - 1, totals(10)))
    assert await counts(store) == {10: 3}


async def test_each_source_has_a_sequence_of_its_own(store: StatsStore) -> None:
    assert await store.record(batch(5, totals(10), source="life-1"))
    assert await store.record(batch(1, totals(10), source="life-2"))
    assert not await store.record(batch(5, totals(10), source="life-1"))
    assert await counts(store) == {10: 2}


async def test_a_record_without_a_source_is_counted_each_time(store: StatsStore) -> None:
    single = Batch((totals(10),))

    assert [await store.record(single) for _ in range(3)] == [True, True, True]
    assert await counts(store) == {10: 3}


async def test_the_busiest_come_first_and_the_smaller_among_equals(store: StatsStore) -> None:
    await store.record(batch(1, totals(1, 2), totals(2, 9), totals(3, 5), totals(4, 9)))

    assert list(await counts(store)) == [2, 4, 3, 1]


async def test_the_limit_cuts_the_numbers_and_not_the_totals(store: StatsStore) -> None:
    await store.record(batch(1, totals(1, 2, 1), totals(2, 9, 3), totals(3, 5, 2)))

    assert await store.summary(limit=2) == Summary(16, 6, [totals(2, 9, 3), totals(3, 5, 2)])


async def test_a_batch_of_a_thousand_is_applied(store: StatsStore) -> None:
    await store.record(batch(1, *(totals(n) for n in range(1_000))))

    assert await counts(store) == dict.fromkeys(range(1_000), 1)


async def test_the_largest_index_and_the_longest_time_are_kept_exactly(store: StatsStore) -> None:
    record = totals(2**31 - 1, 1, each_ns=2**63 - 1)
    await store.record(batch(1, record))

    assert (await store.summary(limit=1)).numbers == [record]


async def test_batches_that_arrive_together_are_all_counted_and_repeats_once(store: StatsStore) -> None:
    sources = [f"life-{number}" for number in range(10)]
    batches = [batch(1, totals(10), totals(20), source=source) for source in sources] * 2

    applied = await asyncio.gather(*map(store.record, batches))

    assert sum(applied) == len(sources)
    assert await store.summary(limit=100) == Summary(20, 0, [totals(10, 10), totals(20, 10)])


async def test_a_source_is_forgotten_once_it_was_silent_too_long(store: StatsStore, clock: Clock) -> None:
    await store.record(batch(7, totals(10), source="silent"))
    clock.now += 60
    await store.record(batch(7, totals(10), source="busy"))
    clock.now += 50

    assert await store.forget_sources(idle_seconds=100) == 1

    assert await store.record(batch(1, totals(10), source="silent"))
    assert not await store.record(batch(7, totals(10), source="busy"))


async def test_a_source_is_as_young_as_its_last_batch(store: StatsStore, clock: Clock) -> None:
    await store.record(batch(1, totals(10)))
    clock.now += 60
    await store.record(batch(2, totals(10)))
    clock.now += 60

    assert await store.forget_sources(idle_seconds=100) == 0
    assert await store.forget_sources(idle_seconds=50) == 1
    assert await store.forget_sources(idle_seconds=50) == 0


async def test_the_counts_of_a_forgotten_source_stay(store: StatsStore, clock: Clock) -> None:
    await store.record(batch(1, totals(10, 3, 1)))
    clock.now += 60
    await store.forget_sources(idle_seconds=10)

    assert await store.summary(limit=100) == Summary(3, 1, [totals(10, 3, 1)])
