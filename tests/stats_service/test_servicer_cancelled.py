"""What becomes of a record whose sender goes away while the database is at work at it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.empty_pb2 import Empty

from stats_service.servicer import StatsServicer
from tests.stats_service import messages
from tests.stats_service.accounts import answers, batch, totals
from tests.stats_service.sqlite_files import opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stats.sqlite3"


@asynccontextmanager
async def written_to(path: Path) -> AsyncIterator[None]:
    """Another process writes, so that whoever else wants to has to wait."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.rollback()


async def leave_in_the_middle(path: Path, call: Coroutine[Any, Any, object]) -> None:
    async with written_to(path):
        task = asyncio.ensure_future(call)
        await asyncio.wait([task], timeout=0.05)
        task.cancel()
        await asyncio.wait([task], timeout=0.05)
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_record_that_is_applied_after_its_sender_went_away_is_counted_and_read(path: Path) -> None:
    async with opened(path) as store:
        servicer = StatsServicer(store=store, max_watchers=1)
        assert (await servicer.GetStats(Empty(), None)).total_requests == 0

        await leave_in_the_middle(path, servicer.RecordNo(messages.batch(messages.record(10)), None))

        assert (await servicer.GetStats(Empty(), None)).total_requests == 2
        assert (servicer.tally.batches, servicer.tally.requests) == ({"applied": 1, "duplicate": 0}, 2)


async def test_numbers_of_senders_that_went_away_are_folded_as_others_are(path: Path) -> None:
    async with opened(path, max_numbers=1_000) as store:
        for sequence in range(1, 4):
            first = sequence * 1_000
            sent = batch(sequence, *(answers(n) for n in range(first, first + 1_000)))
            await leave_in_the_middle(path, store.record(sent))

        told = await totals(store)
        assert (told.all.count, told.folded.count, told.numbers) == (3_000, 2_000, 1_000)
        assert store.folded == 2_000
