"""What holds for PostgreSQL alone, and for several stores of one database. What holds for all is in test_store.py."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import asyncpg
import pytest

from stats_service import store_postgresql
from stats_service.batch import Batch
from stats_service.errors import StoreUnavailable
from stats_service.queries import measured
from stats_service.records import OperationRecord
from stats_service.store import Bounds, StatsStore
from tests.postgres import Postgres
from tests.stats_service.accounts import (
    Clock,
    answers,
    batch,
    counts,
    failures,
    page,
    totals,
)
from tests.stats_service.accounts import opened as opened_account


@pytest.fixture
def url(emptied_database: str) -> str:
    return emptied_database


def opened(url: str, **bounds: Any) -> Any:
    return opened_account(url, Clock(), Bounds(**bounds))


async def test_the_account_and_the_sources_survive_reopening(url: str) -> None:
    async with opened(url) as store:
        await store.record(batch(5, answers(10, 3)))
        before = await page(store)

    async with opened(url) as store:
        assert await page(store) == before
        assert not await store.record(batch(5, answers(10, 3)))
        assert await store.record(batch(6, answers(10, 3)))


def overlapping() -> list[Batch]:
    """Batches of three sources, on the same numbers in part."""
    return [
        batch(
            sequence,
            *(answers(n, count=sequence) for n in range(first, first + 60)),
            source=f"life-{first}",
            errors=[failures(n) for n in range(first + 30, first + 90)],
            operations=[OperationRecord(1, 1), OperationRecord(2, 1)],
        )
        for sequence in range(1, 6)
        for first in (0, 20, 40)
    ]


async def record_each_in_order(stores: Sequence[StatsStore], batches: Sequence[Batch]) -> list[bool]:
    """Every source in order, as a recorder sends, and all sources and stores at once."""
    sources = {sent.source for sent in batches}

    async def send(source: str, store: StatsStore) -> list[bool]:
        return [await store.record(sent) for sent in batches if sent.source == source]

    answered = await asyncio.gather(*(send(source, store) for source in sources for store in stores))
    return [applied for each in answered for applied in each]


async def test_two_replicas_give_one_truth_and_count_what_both_were_sent_once(url: str) -> None:
    batches = overlapping()
    async with opened("memory:") as expected, opened(url) as one, opened(url) as other:
        for sent in batches:
            await expected.record(sent)

        applied = await record_each_in_order([one, other], batches)

        assert sum(applied) == len(batches)
        assert await counts(one) == await counts(expected)
        assert await page(one) == await page(other) == await page(expected)
        assert await one.minutes() == await other.minutes() == await expected.minutes()


async def test_a_page_is_of_one_moment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(url) as store, opened(url) as other:
        await store.record(batch(1, answers(10)))

        async def measured_after_a_record(connection: Any, rows: Any) -> Any:
            await other.record(batch(2, answers(10), answers(20)))
            return await measured(connection, rows)

        monkeypatch.setattr("stats_service.store_sql.measured", measured_after_a_record)
        told = await page(store)

        assert [number.n for number in told.numbers] == [10]
        assert (told.totals.numbers, told.totals.all.count) == (1, 1)
        assert sum(told.numbers[0].measures.histogram.values()) == 1


async def test_a_repeat_through_the_other_replica_is_a_duplicate(url: str) -> None:
    async with opened(url) as one, opened(url) as other:
        assert await one.record(batch(7, answers(10)))

        assert [await store.record(batch(7, answers(10))) for store in (other, one)] == [False, False]
        assert await counts(other) == {10: 1}


async def test_replicas_that_fold_and_tidy_while_the_others_record_lose_nothing_and_wait_in_no_ring(url: str) -> None:
    sent = [
        batch(sequence, *(answers(n) for n in range(first, first + 300)), source=f"life-{first}")
        for sequence in range(1, 7)
        for first in (0, 100, 200)
    ]
    async with opened(url, max_numbers=150, max_histograms=40) as one, opened(url, max_numbers=100) as other:

        async def tidy(store: StatsStore) -> None:
            for _ in range(6):
                await store.tidy()

        await asyncio.gather(record_each_in_order([one, other], sent), tidy(one), tidy(other))
        await one.tidy()
        await other.tidy()

        told = await totals(one)
        assert told.all.count == 18 * 300
        assert told.folded.count + sum((await counts(one)).values()) == told.all.count
        assert told.numbers == 100


async def test_histograms_are_put_away_in_no_ring_with_a_writer(postgres: Postgres, url: str) -> None:
    """A writer goes by rising n; the rows lie the other way round, and so would they be deleted."""
    async with opened(url) as store, opened(url, max_histograms=0) as tidying:
        await store.record(batch(1, answers(9)))
        await store.record(batch(2, answers(5)))
        writer = await asyncpg.connect(url)
        try:
            async with writer.transaction():
                await writer.execute("UPDATE buckets SET count = 7 WHERE n = 5")
                tidied = asyncio.create_task(tidying.tidy())
                await waits_for_a_lock(postgres)
                await writer.execute("UPDATE buckets SET count = 7 WHERE n = 9")
            await tidied
        finally:
            await writer.close()

        assert (await store.number(5)).measures.histogram == {}


async def waits_for_a_lock(postgres: Postgres) -> None:
    async with asyncio.timeout(10):
        while postgres.execute("SELECT count(*) FROM pg_locks WHERE NOT granted") == "0":  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def failing() -> Iterator[Postgres]:
    """A server of its own for tests in which it fails."""
    with Postgres(durable=False) as server:
        yield server


async def test_while_the_server_is_stopped_the_store_is_unavailable_and_then_works_again(failing: Postgres) -> None:
    async with opened(failing.new_database()) as store:
        await store.record(batch(1, answers(10)))
        with stopped(failing):
            for _ in range(2):
                with pytest.raises(StoreUnavailable):
                    await store.record(batch(2, answers(10)))
                with pytest.raises(StoreUnavailable):
                    await page(store)
                with pytest.raises(StoreUnavailable):
                    await store.tidy()

        assert await store.record(batch(2, answers(10)))
        assert not await store.record(batch(1, answers(10)))
        assert await counts(store) == {10: 2}


@contextmanager
def stopped(postgres: Postgres) -> Iterator[None]:
    postgres.stop()
    try:
        yield
    finally:
        postgres.start()


async def test_connections_that_broke_unseen_cost_one_call_and_no_more(failing: Postgres) -> None:
    async with opened(failing.new_database()) as store:
        await asyncio.gather(*(page(store) for _ in range(4)))
        with stopped(failing):
            pass

        with pytest.raises(StoreUnavailable):
            await store.record(batch(1, answers(10)))

        for sequence in range(2, 10):
            assert await store.record(batch(sequence, answers(10)))


async def test_a_server_that_hangs_is_given_up_and_then_used_again(
    failing: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        with monkeypatch.context() as patch:
            patch.setattr(store_postgresql, "_STATEMENT_SECONDS", 1.0)
            patch.setattr(store_postgresql, "_CONNECT_SECONDS", 1.0)
            store = await stack.enter_async_context(opened(failing.new_database()))
            await store.record(batch(1, answers(10)))
            with failing.hung():
                async with asyncio.timeout(10):
                    with pytest.raises(StoreUnavailable):
                        await store.record(batch(2, answers(10)))
                    with pytest.raises(StoreUnavailable):
                        await page(store)

        async with asyncio.timeout(20):  # a server that comes back has the patience of a real one
            await store.record(batch(2, answers(10)))
            assert await counts(store) == {10: 2}


async def test_a_batch_that_cannot_be_applied_whole_leaves_nothing(postgres: Postgres, url: str) -> None:
    async with opened(url) as store:
        before = await page(store)
        postgres.execute("ALTER TABLE operations RENAME TO elsewhere", url=url)
        try:
            with pytest.raises(StoreUnavailable):
                await store.record(batch(1, answers(10), operations=[OperationRecord(1, 1)]))
        finally:
            postgres.execute("ALTER TABLE elsewhere RENAME TO operations", url=url)

        assert await page(store) == before
        assert await store.record(batch(1, answers(10), operations=[OperationRecord(1, 1)]))


async def test_every_sum_stops_at_its_bound(postgres: Postgres, url: str) -> None:
    most = 8 * 10**18
    async with opened(url) as store:
        await store.record(batch(1, answers(10), errors=[failures(10)], operations=[OperationRecord(1, 1)]))
        for table in ("numbers", "totals", "errors", "buckets", "operations", "minutes"):
            postgres.execute(f"UPDATE {table} SET count = {most - 1}", url=url)

        await store.record(batch(2, answers(10, 5), errors=[failures(10, 1, 5)], operations=[OperationRecord(1, 5)]))

        number, told = (await store.number(10)).measures, await totals(store)
        assert (number.count, told.all.count, told.operations) == (most, most, {1: most})
        assert (number.errors, set(number.histogram.values())) == ({1: most}, {most})
        assert [minute.count for minute in await store.minutes()] == [most]
