"""What becomes of every store when the caller of a call goes away, as a client of gRPC does."""

import asyncio
import gc
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from stats_service.store import StatsStore
from stats_service.store_memory import MemoryStore
from tests.stats_service.accounts import (
    answers,
    batch,
    counts,
    page,
    totals,
)


@pytest.fixture
def late_collector() -> Iterator[None]:
    """No garbage is collected meanwhile, so that nothing is put in order by chance."""
    gc.disable()
    yield
    gc.enable()


async def cancelled(call: Coroutine[Any, Any, object], after_seconds: float) -> bool:
    """Whether it was cancelled before it was done."""
    task = asyncio.create_task(call)
    await asyncio.wait([task], timeout=after_seconds)
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


@pytest.mark.usefixtures("late_collector")
async def test_a_batch_whose_sender_went_away_is_applied_once_and_the_next_need_not_wait(store: StatsStore) -> None:
    went_away = 0
    for sequence in range(1, 25):
        sent = batch(sequence, *(answers(n) for n in range(1_000)))
        went_away += await cancelled(store.record(sent), sequence * 0.0005)

        async with asyncio.timeout(4):  # SQLite waits longer for a lock that is not given back
            await store.record(sent)

    assert went_away or isinstance(store, MemoryStore)
    assert await counts(store) == dict.fromkeys(range(1_000), 24)
    assert (await totals(store)).all.count == 24_000


async def test_a_reader_that_went_away_leaves_the_account_readable(store: StatsStore) -> None:
    await store.record(batch(1, *(answers(n) for n in range(1_000))))
    for attempt in range(20):
        await cancelled(page(store), attempt * 0.0005)

    assert await counts(store) == dict.fromkeys(range(1_000), 1)
