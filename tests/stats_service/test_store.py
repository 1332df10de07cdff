"""How every store records: one suite over the one in memory, SQLite and PostgreSQL.

How it is read is in test_store_pages.py, and what keeps it small in test_store_bounds.py.
"""

import asyncio

import pytest

from stats_service.batch import MAX_AGE_SECONDS, Batch
from stats_service.errors import NumberUnknown
from stats_service.measures import MAX_DURATION_NS, MOST, Measures, NumberMeasures
from stats_service.records import NumberRecord, OperationRecord, single
from stats_service.store import StatsStore, Tidied
from stats_service.summary import Page, Totals
from tests.stats_service.accounts import (
    NOON,
    Clock,
    answers,
    batch,
    counts,
    failures,
    histogram_of,
    kept,
    numbers,
    page,
    totals,
)
from tests.stats_service.conftest import OpenStore


async def test_a_new_store_is_empty(store: StatsStore) -> None:
    assert await page(store) == Page(Totals(Measures(), 0, Measures(), {}), [], more=False)
    assert await store.minutes() == []
    assert (store.folded, store.failures) == (0, 0)


async def test_a_batch_is_applied_whole(store: StatsStore) -> None:
    ten, twenty = answers(10, 3, hits=2), answers(20)

    assert await store.record(batch(1, ten, twenty))

    assert await numbers(store) == [kept(ten), kept(twenty)]
    together = Measures(4, 2, 0, 400, 100, 100, NOON, NOON, {}, histogram_of([100] * 4))
    assert await totals(store) == Totals(together, numbers=2, folded=Measures(), operations={})


async def test_what_is_recorded_of_a_number_adds_up(store: StatsStore, clock: Clock) -> None:
    await store.record(batch(1, NumberRecord(10, 2, 1, 0, total_ns=30, min_ns=10, max_ns=20)))
    clock.now += 5
    await store.record(batch(2, NumberRecord(10, 3, 1, 2, total_ns=15, min_ns=5, max_ns=5)))
    clock.now += 5
    await store.record(batch(3, NumberRecord(10, 1, 0, 0, total_ns=99, min_ns=99, max_ns=99)))

    number = await store.number(10)

    assert number == NumberMeasures(10, Measures(6, 2, 2, 144, 5, 99, NOON, NOON + 10))
    assert (number.measures.cache_misses, number.measures.mean_ns) == (2, 24)
    assert (await totals(store)).all == number.measures


@pytest.mark.parametrize("repeated", [1, 2, 3])
async def test_a_sequence_that_is_not_above_the_last_changes_nothing(store: StatsStore, repeated: int) -> None:
    await store.record(batch(3, answers(10), errors=[failures(10)], operations=[OperationRecord(1, 1)]))
    before, minutes = await page(store), await store.minutes()
    again = batch(repeated, answers(10), answers(20), errors=[failures(30)], operations=[OperationRecord(2, 1)])

    assert not await store.record(again)

    assert await page(store) == before
    assert await store.minutes() == minutes


async def test_a_gap_in_the_sequence_is_legal(store: StatsStore) -> None:
    assert await store.record(batch(1, answers(10)))
    assert await store.record(batch(1_000, answers(10)))
    assert await store.record(batch(2**63 - 1, answers(10)))
    assert await counts(store) == {10: 3}


async def test_each_source_has_a_sequence_of_its_own(store: StatsStore) -> None:
    assert await store.record(batch(5, answers(10), source="life-1"))
    assert await store.record(batch(1, answers(10), source="life-2"))
    assert not await store.record(batch(5, answers(10), source="life-1"))
    assert await counts(store) == {10: 2}


async def test_a_record_without_a_source_is_counted_each_time(store: StatsStore) -> None:
    alone = Batch(records=[single(10, 100)])

    assert [await store.record(alone) for _ in range(3)] == [True, True, True]
    assert await counts(store) == {10: 3}


async def test_a_batch_of_a_thousand_is_applied(store: StatsStore) -> None:
    await store.record(batch(1, *(answers(n) for n in range(1_000))))

    assert await counts(store) == dict.fromkeys(range(1_000), 1)


async def test_the_largest_index_and_the_longest_time_are_kept_exactly(store: StatsStore) -> None:
    record = answers(2**31 - 1, each_ns=MAX_DURATION_NS)
    await store.record(batch(1, record))

    assert await numbers(store) == [kept(record)]


async def test_batches_that_arrive_together_are_all_counted_and_repeats_once(store: StatsStore) -> None:
    sources = [f"life-{number}" for number in range(10)]
    batches = [batch(1, answers(10), answers(20), source=source) for source in sources] * 2

    applied = await asyncio.gather(*map(store.record, batches))

    assert sum(applied) == len(sources)
    assert await counts(store) == {10: 10, 20: 10}
    assert (await totals(store)).all.count == 20


async def test_errors_are_counted_by_number_and_kind_beside_the_answers(store: StatsStore) -> None:
    await store.record(batch(1, answers(10, 3), errors=[failures(10, 1, 2), failures(10, 3, 5)]))
    await store.record(batch(2, errors=[failures(10, 3, 1), failures(20, 1, 1)]))

    assert (await store.number(10)).measures.errors == {1: 2, 3: 6}
    assert (await store.number(10)).measures.count == 3
    assert (await totals(store)).all.errors == {1: 3, 3: 6}
    assert (await totals(store)).all.count == 3


async def test_a_number_that_only_failed_has_a_row_with_no_answer_and_no_time(store: StatsStore) -> None:
    await store.record(batch(1, errors=[failures(20, 2, 7)]))

    number = await store.number(20)

    assert number == NumberMeasures(20, Measures(first_seen=NOON, last_seen=NOON, errors={2: 7}))
    assert (number.measures.shortest_ns, number.measures.max_ns, number.measures.mean_ns) == (0, 0, 0)
    assert number.measures.percentile_ns(0.5) is None
    assert await counts(store) == {20: 0}


async def test_the_shortest_time_of_a_number_that_failed_first_is_that_of_its_answers(store: StatsStore) -> None:
    await store.record(batch(1, errors=[failures(20)]))
    await store.record(batch(2, answers(20, each_ns=7)))

    assert ((await store.number(20)).measures.shortest_ns, (await totals(store)).all.shortest_ns) == (7, 7)


async def test_operations_are_counted_and_are_requests_of_no_number(store: StatsStore, clock: Clock) -> None:
    await store.record(batch(1, operations=[OperationRecord(3, 1)]))
    await store.record(batch(2, operations=[OperationRecord(1, 2)]))
    clock.now += 60
    await store.record(batch(3, operations=[OperationRecord(1, 5)]))

    told = await totals(store)
    assert told == Totals(Measures(), 0, Measures(), {1: 7, 3: 1})
    assert list(told.operations) == [1, 3]
    assert await numbers(store) == []
    assert await store.minutes() == []


async def test_histograms_add_up_and_tell_percentiles(store: StatsStore) -> None:
    fast, slow = [1_000] * 89, [1_000_000] * 11
    for sequence, times in enumerate((fast, slow), 1):
        record = NumberRecord(10, len(times), 0, 0, sum(times), min(times), max(times), histogram_of(times))
        await store.record(batch(sequence, record))

    for measures in ((await store.number(10)).measures, (await totals(store)).all):
        assert measures.histogram == histogram_of(fast + slow)
        assert measures.percentile_ns(0.5) == pytest.approx(1_000, rel=1 / 16)
        assert measures.percentile_ns(0.9) == pytest.approx(1_000_000, rel=1 / 16)


async def test_a_sender_that_keeps_no_histogram_is_counted(store: StatsStore) -> None:
    await store.record(batch(1, NumberRecord(10, 2, 0, 0, 30, 10, 20)))

    assert (await store.number(10)).measures.percentile_ns(0.5) is None


async def test_a_number_was_seen_from_the_beginning_of_its_first_batch_to_the_end_of_its_last(
    store: StatsStore, clock: Clock
) -> None:
    await store.record(batch(2, answers(10), start_time=NOON - 30, end_time=NOON - 20))
    clock.now += 100
    await store.record(batch(3, answers(10), start_time=NOON + 10.25, end_time=NOON + 20.5))
    await store.record(batch(1, answers(10), source="late", start_time=NOON - 90, end_time=NOON - 80))

    for measures in ((await store.number(10)).measures, (await totals(store)).all):
        assert (measures.first_seen, measures.last_seen) == (NOON - 90, NOON + 20.5)


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        (None, None, NOON, NOON),
        (NOON - 5, None, NOON - 5, NOON),
        (None, NOON - 5, NOON - 5, NOON - 5),
        (NOON + 50, NOON + 60, NOON, NOON),
        (NOON - 5, NOON + 60, NOON - 5, NOON),
        (None, NOON + 60, NOON, NOON),
        (NOON + 60, None, NOON, NOON),
        (0, 0, NOON - MAX_AGE_SECONDS, NOON - MAX_AGE_SECONDS),
        (0, NOON + 60, NOON - MAX_AGE_SECONDS, NOON),
    ],
)
async def test_a_clock_that_is_wrong_moves_no_time_into_the_future_nor_far_back(
    store: StatsStore, start: float | None, end: float | None, first: float, last: float
) -> None:
    await store.record(batch(1, answers(10), start_time=start, end_time=end))

    measures = (await store.number(10)).measures
    assert (measures.first_seen, measures.last_seen) == (first, last)


async def test_a_number_that_was_never_recorded_is_unknown(store: StatsStore) -> None:
    await store.record(batch(1, answers(10)))

    with pytest.raises(NumberUnknown) as caught:
        await store.number(11)
    assert caught.value.n == 11


async def test_sums_stop_at_their_bound_instead_of_overflowing(store: StatsStore) -> None:
    dearest = [answers(n, each_ns=MAX_DURATION_NS) for n in range(1_000)]
    for sequence in range(1, 11):
        assert await store.record(batch(sequence, *dearest))

    together = (await totals(store)).all
    assert (together.total_ns, together.count) == (MOST, 10_000)
    assert (await store.number(999)).measures.total_ns == 10 * MAX_DURATION_NS


async def test_a_source_is_forgotten_once_it_was_silent_too_long(open_store: OpenStore, clock: Clock) -> None:
    store = await open_store(source_retention_seconds=100)
    await store.record(batch(7, answers(10), source="silent"))
    clock.now += 60
    await store.record(batch(7, answers(10), source="busy"))
    clock.now += 50

    assert await store.tidy() == Tidied(sources=1, folded=0)

    assert await store.record(batch(1, answers(10), source="silent"))
    assert not await store.record(batch(7, answers(10), source="busy"))


async def test_a_source_is_as_young_as_its_last_batch(open_store: OpenStore, clock: Clock) -> None:
    store = await open_store(source_retention_seconds=100)
    await store.record(batch(1, answers(10)))
    clock.now += 60
    await store.record(batch(2, answers(10)))
    clock.now += 100

    assert await store.tidy() == Tidied(sources=0, folded=0)
    clock.now += 1
    assert await store.tidy() == Tidied(sources=1, folded=0)
    assert await store.tidy() == Tidied(sources=0, folded=0)


async def test_the_counts_of_a_forgotten_source_stay(open_store: OpenStore, clock: Clock) -> None:
    store = await open_store(source_retention_seconds=10)
    await store.record(batch(1, answers(10, 3, 1)))
    before = await page(store)
    clock.now += 60

    assert (await store.tidy()).sources == 1

    assert await page(store) == before
