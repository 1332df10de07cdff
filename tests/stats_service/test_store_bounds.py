"""What keeps every store small, and that it costs no count: one suite over all of them."""

import asyncio

import pytest

from stats_service.errors import NumberUnknown
from stats_service.measures import MOST, Measures
from stats_service.paging import Order
from stats_service.records import NumberRecord, OperationRecord
from stats_service.store import StatsStore, Tidied
from tests.stats_service.accounts import (
    NOON,
    Clock,
    answers,
    batch,
    counts,
    failures,
    histogram_of,
    measures,
    numbers,
    page,
    record_numbers,
    totals,
    walk,
)
from tests.stats_service.conftest import OpenStore


async def test_the_least_used_numbers_beyond_the_bound_become_one_row(open_store: OpenStore, clock: Clock) -> None:
    store = await open_store(max_numbers=2)
    await store.record(batch(1, answers(1, 5), answers(2, 1, 1, each_ns=7), answers(3, 9)))
    clock.now += 5
    await store.record(batch(2, answers(4, 4, 1, 2, each_ns=900), errors=[failures(2, 1, 3), failures(4, 1, 1)]))
    before = await totals(store)

    assert await store.tidy() == Tidied(sources=0, folded=2)

    after = await totals(store)
    assert await counts(store) == {3: 9, 1: 5}
    assert (after.all, after.numbers) == (before.all, 2)
    assert after.folded == Measures(5, 2, 2, 3_607, 7, 900, NOON, NOON + 5, {1: 4})


async def test_among_equals_the_larger_numbers_are_folded(open_store: OpenStore) -> None:
    store = await open_store(max_numbers=3)
    await store.record(batch(1, *(answers(n) for n in range(10))))

    await store.tidy()

    assert list(await counts(store)) == [0, 1, 2]


async def test_a_folded_number_is_unknown_and_begins_anew_when_it_comes_back(open_store: OpenStore) -> None:
    store = await open_store(max_numbers=1)
    await store.record(batch(1, answers(1, 5), answers(2, 1), errors=[failures(2)]))
    await store.tidy()

    with pytest.raises(NumberUnknown):
        await store.number(2)

    await store.record(batch(2, answers(2, 2)))
    assert (await store.number(2)).measures == measures(answers(2, 2))
    assert (await totals(store)).all.count == 8


async def test_what_is_folded_later_is_added_to_the_row_of_the_folded(open_store: OpenStore) -> None:
    store = await open_store(max_numbers=1)
    for sequence in range(1, 4):
        await store.record(batch(sequence, answers(1, 10), answers(2, 1), answers(2 + sequence, 2)))
        assert (await store.tidy()).folded == 2

    assert (await totals(store)).folded.count == 9
    assert await counts(store) == {1: 30}


async def test_the_row_of_the_folded_stops_at_its_bound_whatever_is_folded(open_store: OpenStore) -> None:
    """The longest times that a record may tell of, in eight times as many numbers as a row holds."""
    store = await open_store(max_numbers=1)
    for sequence in range(1, 11):
        longest = [NumberRecord(n, 10**9, total_ns=10**15, max_ns=10**15) for n in range(1_000)]
        assert await store.record(batch(2 * sequence, *longest))
        assert await store.record(batch(2 * sequence + 1, *longest))
        await store.tidy()

    told = await totals(store)
    assert (told.all.total_ns, told.folded.total_ns) == (MOST, MOST)
    assert await store.record(batch(100, answers(1)))


async def test_the_count_of_an_operation_stops_at_its_bound(store: StatsStore) -> None:
    for sequence in (1, 2):
        assert await store.record(batch(sequence, operations=[OperationRecord(1, MOST)]))

    assert (await totals(store)).operations == {1: MOST}


async def test_within_the_bound_nothing_is_folded(open_store: OpenStore) -> None:
    store = await open_store(max_numbers=3)
    await store.record(batch(1, answers(1), answers(2), answers(3)))
    before = await page(store)

    assert await store.tidy() == Tidied(sources=0, folded=0)

    assert await page(store) == before


async def test_far_beyond_the_bound_it_folds_without_waiting_to_be_tidied(open_store: OpenStore) -> None:
    store = await open_store(max_numbers=100)
    await record_numbers(store, range(100), count=2)
    await record_numbers(store, range(100, 1_099), source="below")
    assert (await totals(store)).numbers == 1_099

    await record_numbers(store, [5_000], source="last")

    told = await totals(store)
    assert (told.numbers, told.folded.count, told.all.count) == (100, 1_000, 1_200)
    assert set((await counts(store)).values()) == {2}


async def test_what_one_batch_does_not_fold_is_folded_at_the_next_tidying_and_nothing_is_lost(
    open_store: OpenStore,
) -> None:
    store = await open_store(max_numbers=100)
    await record_numbers(store, range(1_099))

    await record_numbers(store, range(2_000, 3_000), source="last")
    assert store.numbers == 1_099
    at_once = await totals(store)
    await store.tidy()
    tidied = await totals(store)

    assert (at_once.numbers, at_once.folded.count, at_once.all.count) == (1_099, 1_000, 2_099)
    assert (tidied.numbers, tidied.folded.count, tidied.all.count) == (100, 1_999, 2_099)


async def test_of_more_than_are_folded_at_once_the_least_used_go_first(open_store: OpenStore) -> None:
    store = await open_store(max_numbers=100)
    await record_numbers(store, range(1_099), count=2)

    await record_numbers(store, range(2_000, 3_000), source="last")

    with pytest.raises(NumberUnknown):
        await store.number(2_000)
    assert (await store.number(1_098)).measures.count == 2


async def test_batches_that_arrive_while_it_folds_are_counted(open_store: OpenStore) -> None:
    store = await open_store(max_numbers=50)
    await record_numbers(store, range(1_000))
    batches = [batch(1, *(answers(n) for n in range(at, at + 40)), source=f"life-{at}") for at in range(0, 400, 20)]

    await asyncio.gather(store.tidy(), *map(store.record, batches), store.tidy())
    await store.tidy()

    told = await totals(store)
    assert told.all.count == 1_000 + 20 * 40
    assert told.folded.count + sum((await counts(store)).values()) == told.all.count
    assert told.numbers == 50


async def test_histograms_are_kept_for_the_busiest_and_for_all_together(open_store: OpenStore) -> None:
    store = await open_store(max_histograms=2)
    await store.record(batch(1, answers(0, 1), answers(2, 5), answers(3, 9)))
    kept = {number.n: number.measures.histogram for number in await numbers(store)}
    assert kept == {0: histogram_of([100]), 2: histogram_of([100] * 5), 3: {}}  # the first that there was room for

    await store.tidy()

    kept = {number.n: number.measures.histogram for number in await numbers(store)}
    assert kept == {0: {}, 2: histogram_of([100] * 5), 3: {}}
    await store.record(batch(2, answers(0), answers(3)))
    kept = {number.n: number.measures.histogram for number in await numbers(store)}
    assert kept == {0: {}, 2: histogram_of([100] * 5), 3: histogram_of([100])}
    assert (await totals(store)).all.histogram == histogram_of([100] * 17)


async def test_without_histograms_only_all_together_have_percentiles(open_store: OpenStore) -> None:
    store = await open_store(max_histograms=0)
    await store.record(batch(1, answers(1, 3)))
    await store.tidy()

    assert (await store.number(1)).measures.percentile_ns(0.5) is None
    assert (await totals(store)).all.percentile_ns(0.5) == 100


async def test_the_row_of_the_folded_has_no_histogram(open_store: OpenStore) -> None:
    store = await open_store(max_numbers=1)
    await store.record(batch(1, answers(1, 3), answers(2)))
    await store.tidy()

    assert (await totals(store)).folded.histogram == {}


async def test_pages_have_every_number_that_is_left_once(open_store: OpenStore) -> None:
    store = await open_store(max_numbers=20)
    await record_numbers(store, range(50))
    await store.tidy()

    for order in Order:
        pages = await walk(store, 7, order)
        assert sorted(number.n for page in pages for number in page.numbers) == list(range(20))


async def test_tidying_twice_is_tidying_once(open_store: OpenStore) -> None:
    store: StatsStore = await open_store(max_numbers=5, max_histograms=3)
    await record_numbers(store, range(20))
    await store.tidy()
    before = await page(store)

    assert await store.tidy() == Tidied(sources=0, folded=0)

    assert await page(store) == before
