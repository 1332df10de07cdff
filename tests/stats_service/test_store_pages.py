"""How every store is read, a page at a time and by the minute: one suite over all of them."""

from collections.abc import Callable

import pytest

from stats_service.batch import MAX_AGE_SECONDS
from stats_service.measures import MinuteTotals, NumberMeasures
from stats_service.paging import Order, PageRequest, Place
from stats_service.store import StatsStore
from tests.stats_service.accounts import DAY, NOON, Clock, answers, batch, counts, failures, page, totals, walk

#: Counts with many ties, by n.
TIED = {n: 1 + n % 4 for n in range(40)}
RANKS: dict[Order, Callable[[int], tuple[int, ...]]] = {
    Order.BUSIEST: lambda n: (-TIED[n], n),
    Order.LEAST_BUSY: lambda n: (TIED[n], -n),
    Order.N: lambda n: (n,),
    Order.N_DESCENDING: lambda n: (-n,),
}


@pytest.fixture
async def tied(store: StatsStore) -> StatsStore:
    await store.record(batch(1, *(answers(n, count) for n, count in TIED.items())))
    return store


@pytest.mark.parametrize("order", Order)
async def test_the_pages_of_every_order_have_every_number_once(tied: StatsStore, order: Order) -> None:
    ranked = sorted(TIED, key=RANKS[order])

    for size in (1, 7, 39, 40, 41):
        pages = await walk(tied, size, order)

        assert [number.n for page in pages for number in page.numbers] == ranked
        assert [len(page.numbers) for page in pages[:-1]] == [size] * (len(pages) - 1)
        assert all(page.totals == pages[0].totals for page in pages)


@pytest.mark.parametrize("order", Order)
async def test_a_page_goes_on_behind_a_number_that_is_no_longer_there(tied: StatsStore, order: Order) -> None:
    """Which is where the number of the page before has been folded, or has grown busier since."""
    rank = RANKS[order]
    after = Place(count=2, n=20)  # of 20 itself the count is 1

    found = await tied.page(PageRequest(1_000, order, after))

    behind = (-2, 20) if order is Order.BUSIEST else (2, -20) if order is Order.LEAST_BUSY else rank(20)
    assert [number.n for number in found.numbers] == sorted((n for n in TIED if rank(n) > behind), key=rank)


@pytest.mark.parametrize("order", Order)
async def test_behind_the_last_number_there_is_an_empty_page_with_the_totals(tied: StatsStore, order: Order) -> None:
    last = (await walk(tied, 40, order))[-1].numbers[-1]

    found = await tied.page(PageRequest(10, order, Place(last.measures.count, last.n)))

    assert (list(found.numbers), found.more, found.totals) == ([], False, await totals(tied))


async def test_the_busiest_come_first_and_the_smaller_among_equals(store: StatsStore) -> None:
    await store.record(batch(1, answers(1, 2), answers(2, 9), answers(3, 5), answers(4, 9)))

    assert list(await counts(store)) == [2, 4, 3, 1]


async def test_the_size_cuts_the_numbers_and_not_the_totals(store: StatsStore) -> None:
    await store.record(batch(1, answers(1, 2, 1), answers(2, 9, 3), answers(3, 5, 2)))

    found = await page(store, 2)

    assert [number.n for number in found.numbers] == [2, 3]
    assert (found.more, found.totals.numbers) == (True, 3)
    assert (found.totals.all.count, found.totals.all.cache_hits) == (16, 6)


async def test_a_page_has_what_is_known_of_each_number(store: StatsStore) -> None:
    await store.record(batch(1, answers(1, 2), answers(2, 9), errors=[failures(1, 1, 4), failures(3, 2, 5)]))

    for number in (await page(store)).numbers:
        assert number == await store.number(number.n)


async def test_an_empty_account_has_one_empty_page_in_every_order(store: StatsStore) -> None:
    for order in Order:
        assert [list(page.numbers) for page in await walk(store, 10, order)] == [[]]


def minute(since_noon: int, **counted: int) -> MinuteTotals:
    fields = {"count": 0, "cache_hits": 0, "coalesced": 0, "errors": 0, "total_ns": 0, **counted}
    return MinuteTotals(int(NOON // 60) + since_noon, **fields)


async def test_a_minute_adds_up_what_happened_in_it(store: StatsStore, clock: Clock) -> None:
    await store.record(batch(1, answers(10, 5, 2, 1), answers(20, 3, 1, 1), errors=[failures(10, 1, 4)]))
    clock.now += 59
    await store.record(batch(2, answers(10, 1), errors=[failures(30, 2, 1), failures(30, 3, 1)]))
    clock.now += 61
    await store.record(batch(3, errors=[failures(40)]))

    first = minute(0, count=9, cache_hits=3, coalesced=2, errors=6, total_ns=900)
    assert await store.minutes() == [first, minute(2, errors=1)]


@pytest.mark.parametrize(
    ("start", "since_noon"),
    [(None, 0), (NOON - 1, -1), (NOON - 60, -1), (NOON - 61, -2), (NOON + 500, 0)],
)
async def test_a_batch_is_of_the_minute_in_which_it_began(
    store: StatsStore, start: float | None, since_noon: int
) -> None:
    await store.record(batch(1, answers(10), start_time=start, end_time=NOON + 600))

    assert await store.minutes() == [minute(since_noon, count=1, total_ns=100)]


async def test_minutes_are_kept_for_24_hours(store: StatsStore, clock: Clock) -> None:
    for sequence, since_noon in enumerate((0, 1, 30), 1):
        clock.now = NOON + since_noon * 60
        await store.record(batch(sequence, answers(10)))

    clock.now = NOON + DAY - 1
    assert [told.minute for told in await store.minutes()] == [minute(since).minute for since in (0, 1, 30)]
    clock.now = NOON + DAY
    assert [told.minute for told in await store.minutes()] == [minute(since).minute for since in (1, 30)]
    await store.tidy()
    clock.now = NOON + DAY - 1  # what was only hidden would be there again
    assert [told.minute for told in await store.minutes()] == [minute(since).minute for since in (1, 30)]


async def test_what_a_wrong_clock_says_was_long_ago_is_in_the_totals_and_in_no_minute(store: StatsStore) -> None:
    await store.record(batch(1, answers(10), start_time=NOON - 2 * MAX_AGE_SECONDS))

    assert await store.minutes() == []
    assert (await totals(store)).all.count == 1


async def test_the_pages_tell_of_one_moment_each(store: StatsStore) -> None:
    await store.record(batch(1, answers(10, 2), answers(20, 1)))
    first = await page(store, 1)
    await store.record(batch(2, answers(30, 9)))

    second = await store.page(PageRequest(1, Order.BUSIEST, Place(2, 10)))

    assert first.totals.all.count == 3
    assert (second.totals.all.count, [number.n for number in second.numbers]) == (12, [20])
    assert isinstance(second.numbers[0], NumberMeasures)
