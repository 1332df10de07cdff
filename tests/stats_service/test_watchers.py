import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest

from stats_service.errors import IntervalOutOfRange, StoreUnavailable, TooManyWatchers
from stats_service.measures import NumberMeasures
from stats_service.paging import PageRequest
from stats_service.store import Bounds
from stats_service.store_memory import MemoryStore
from stats_service.summary import Page, Totals
from stats_service.watchers import MAX_INTERVAL_SECONDS, MIN_INTERVAL_SECONDS, Watchers
from tests.stats_service.accounts import Clock, answers, batch


class Account:
    """One that is watched, and counts how often it was looked at."""

    def __init__(self) -> None:
        self.store = MemoryStore(clock=Clock(), bounds=Bounds())
        self.looks = 0
        self.away = False
        self._sequence = 0

    async def look(self) -> Page:
        self.looks += 1
        if self.away:
            raise StoreUnavailable
        return await self.store.page(PageRequest(size=3))

    async def record(self, *indices: int) -> None:
        self._sequence += 1
        await self.store.record(batch(self._sequence, *(answers(n) for n in indices)))

    async def looked(self, times: int) -> None:
        """Until it has been looked at so often more."""
        until = self.looks + times
        async with asyncio.timeout(10):
            while self.looks < until:  # noqa: ASYNC110 - there is no event for a look
                await asyncio.sleep(0.01)


@pytest.fixture
def account() -> Account:
    return Account()


def indices(change: tuple[Totals, Sequence[NumberMeasures]]) -> list[int]:
    return [number.n for number in change[1]]


async def test_the_first_change_is_all_and_the_others_what_is_new_or_changed(account: Account) -> None:
    await account.record(1, 2)
    async with aclosing(Watchers(look=account.look, limit=1).changes(0.1)) as changes:
        assert indices(await anext(changes)) == [1, 2]
        await account.record(2, 3)
        totals, numbers = await anext(changes)
        assert ([number.n for number in numbers], totals.all.count) == ([2, 3], 4)
        await account.record(1)
        assert indices(await anext(changes)) == [1]


async def test_without_a_change_nothing_is_told(account: Account) -> None:
    async with aclosing(Watchers(look=account.look, limit=1).changes(0.1)) as changes:
        await anext(changes)
        waiting = asyncio.ensure_future(anext(changes))
        await account.looked(3)
        assert not waiting.done()

        await account.record(1)
        assert indices(await waiting) == [1]


async def test_a_change_of_the_totals_alone_is_told(account: Account) -> None:
    await account.record(1, 2, 3)
    await account.record(1, 2, 3)
    async with aclosing(Watchers(look=account.look, limit=1).changes(0.1)) as changes:
        await anext(changes)
        await account.record(9)  # which is not among those that are watched
        totals, numbers = await anext(changes)
        assert (totals.all.count, totals.numbers, list(numbers)) == (7, 4, [])


async def test_a_change_of_the_numbers_alone_is_told(account: Account) -> None:
    account.store = MemoryStore(clock=Clock(), bounds=Bounds(max_histograms=1))
    for n in (1, 2, 2):
        await account.record(n)
    async with aclosing(Watchers(look=account.look, limit=1).changes(0.1)) as changes:
        before, _ = await anext(changes)
        await account.store.tidy()  # which takes the histogram of the less busy
        totals, [number] = await anext(changes)
        assert (totals, number.n, number.measures.histogram) == (before, 1, {})


async def test_several_watch_each_for_itself(account: Account) -> None:
    watchers = Watchers(look=account.look, limit=2)
    async with aclosing(watchers.changes(0.1)) as one, aclosing(watchers.changes(0.1)) as other:
        assert indices(await anext(one)) == []
        await account.record(1)
        assert indices(await anext(other)) == [1]
        assert indices(await anext(one)) == [1]
        await account.record(2)
        assert [indices(await anext(each)) for each in (one, other)] == [[2], [2]]


async def test_more_than_the_limit_are_refused_until_one_goes(account: Account) -> None:
    watchers = Watchers(look=account.look, limit=2)
    async with aclosing(watchers.changes(0.1)) as one:
        await anext(one)
        async with aclosing(watchers.changes(0.1)) as other:
            await anext(other)
            with pytest.raises(TooManyWatchers) as caught:
                await anext(watchers.changes(0.1))
            assert caught.value.limit == 2
        assert indices(await anext(watchers.changes(0.1))) == []


@pytest.mark.parametrize("seconds", [0, -1, MIN_INTERVAL_SECONDS - 0.001, MAX_INTERVAL_SECONDS + 0.001, float("nan")])
async def test_an_interval_outside_its_bounds_is_refused_and_counts_no_watcher(
    account: Account, seconds: float
) -> None:
    watchers = Watchers(look=account.look, limit=1)
    with pytest.raises(IntervalOutOfRange):
        await anext(watchers.changes(seconds))

    await anext(watchers.changes(MIN_INTERVAL_SECONDS))


async def test_all_end_at_once_and_those_who_come_later_see_the_account_once(account: Account) -> None:
    watchers = Watchers(look=account.look, limit=3)
    watching = [watchers.changes(60), watchers.changes(60)]
    for changes in watching:
        await anext(changes)
    waiting = [asyncio.ensure_future(rest(changes)) for changes in watching]

    watchers.end()

    async with asyncio.timeout(5):
        assert await asyncio.gather(*waiting) == [0, 0]
        assert await rest(watchers.changes(60)) == 1


async def rest(changes: AsyncIterator[object]) -> int:
    return len([change async for change in changes])


async def test_one_who_is_cancelled_is_counted_no_more(account: Account) -> None:
    watchers = Watchers(look=account.look, limit=1)
    for _ in range(3):
        watching = asyncio.ensure_future(rest(watchers.changes(60)))
        await account.looked(1)
        watching.cancel()
        await asyncio.wait([watching])

    await anext(watchers.changes(60))


async def test_an_account_that_cannot_be_read_ends_the_watch_and_counts_it_no_more(account: Account) -> None:
    watchers = Watchers(look=account.look, limit=1)
    changes = watchers.changes(0.1)
    await anext(changes)
    account.away = True
    with pytest.raises(StoreUnavailable):
        await anext(changes)

    account.away = False
    await anext(watchers.changes(0.1))
