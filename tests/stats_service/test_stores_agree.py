"""Whatever is recorded, in whatever order: every store tells the same of it. The one in memory is the plainest."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncEngine

from stats_service import tables
from stats_service.batch import Batch
from stats_service.errors import NumberUnknown
from stats_service.measures import NumberMeasures
from stats_service.paging import Order
from stats_service.records import ErrorRecord, NumberRecord, OperationRecord
from stats_service.store import Bounds, StatsStore
from stats_service.store_memory import MemoryStore
from stats_service.store_sql import SqlStore
from tests.stats_service.accounts import NOON, Clock, histogram_of, opened, walk

#: Few, so that the batches meet.
INDICES = range(12)


@dataclass(frozen=True)
class Passed:
    """So much time passes."""

    seconds: float


@dataclass(frozen=True)
class Tidied:
    """The stores put away what is beyond their bounds."""


class SmallBounds(Bounds):
    """Folds as soon as three numbers are too many."""

    @property
    def full(self) -> int:
        return self.max_numbers + 3


def rising(of: st.SearchStrategy[Any], key: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(of, max_size=6, unique_by=key).map(lambda entries: sorted(entries, key=key))


@st.composite
def number_records(draw: st.DrawFn) -> NumberRecord:
    times = draw(st.lists(st.integers(0, 10**15 // 4), min_size=1, max_size=4))
    hits = draw(st.integers(0, len(times)))
    coalesced = draw(st.integers(0, len(times) - hits))
    histogram = histogram_of(times) if draw(st.booleans()) else {}
    n = draw(st.sampled_from(INDICES))
    return NumberRecord(n, len(times), hits, coalesced, sum(times), min(times), max(times), histogram)


error_records = st.builds(ErrorRecord, n=st.sampled_from(INDICES), kind=st.integers(1, 3), count=st.integers(1, 9))
operation_records = st.builds(OperationRecord, operation=st.integers(1, 3), count=st.integers(1, 9))
times_of_day = st.none() | st.floats(NOON - 200_000, NOON + 200_000)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    start, end = draw(times_of_day), draw(times_of_day)
    if start is not None and end is not None:
        start, end = sorted((start, end))
    return Batch(
        records=draw(rising(number_records(), lambda record: record.n)),
        errors=draw(rising(error_records, lambda error: (error.n, error.kind))),
        operations=draw(rising(operation_records, lambda record: record.operation)),
        source=draw(st.sampled_from(["", "life-1", "life-2"])),
        sequence=draw(st.integers(1, 8)),
        start_time=start,
        end_time=end,
    )


passed = st.builds(Passed, st.sampled_from([0.5, 61.0, 4_000.0, 90_000.0]))
histories = st.lists(st.one_of(batches(), batches(), batches(), passed, st.just(Tidied())), min_size=1, max_size=12)
bounds = st.builds(
    SmallBounds,
    max_numbers=st.integers(1, 8),
    max_histograms=st.integers(0, 5),
    source_retention_seconds=st.just(50_000.0),
)


@pytest.fixture
async def engines(tmp_path: Path, emptied_database: str) -> AsyncIterator[Sequence[AsyncEngine]]:
    """Of one SQLite file and one PostgreSQL database, which every example uses."""
    async with AsyncExitStack() as stack:
        urls = (f"sqlite:///{tmp_path}/stats.sqlite3", emptied_database)
        stores = [await stack.enter_async_context(opened(url, Clock())) for url in urls]
        yield [store._reads for store in stores if isinstance(store, SqlStore)]


async def emptied(engine: AsyncEngine, clock: Clock, bounds: Bounds) -> SqlStore:
    async with engine.begin() as connection:
        for table in tables.metadata.tables.values():
            await connection.execute(delete(table))
    return SqlStore(engine=engine, driver_errors=(), clock=clock, bounds=bounds)


async def known(store: StatsStore, n: int) -> NumberMeasures | None:
    try:
        return await store.number(n)
    except NumberUnknown:
        return None


async def told(store: StatsStore) -> Sequence[object]:
    """Everything that can be read of a store."""
    pages = [await walk(store, size, order) for order, size in zip(Order, (2, 3, 5, 100), strict=True)]
    return [pages, [await known(store, n) for n in INDICES], list(await store.minutes())]


async def happens(store: StatsStore, event: object, clock: Clock) -> object:
    match event:
        case Batch():
            return await store.record(event)
        case Tidied():
            return await store.tidy()
        case Passed(seconds):
            clock.now += seconds
    return None


@given(history=histories, bounds=bounds)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_store_tells_the_same_after_the_same_history(
    engines: Sequence[AsyncEngine], history: list[object], bounds: SmallBounds
) -> None:
    clocks = [Clock() for _ in range(len(engines) + 1)]
    plain = MemoryStore(clock=clocks[0], bounds=bounds)
    others = [await emptied(engine, clock, bounds) for engine, clock in zip(engines, clocks[1:], strict=True)]

    for event in history:
        expected = await happens(plain, event, clocks[0])
        for store, clock in zip(others, clocks[1:], strict=True):
            assert await happens(store, event, clock) == expected

    expected_telling = await told(plain)
    for store in others:
        assert await told(store) == expected_telling
    await assert_nothing_is_lost(plain)


async def assert_nothing_is_lost(store: StatsStore) -> None:
    """What has a row of its own and what was folded is together what was counted of all."""
    found = (await walk(store, len(INDICES) * 2, Order.N))[0]
    kept = sum(number.measures.count for number in found.numbers)
    assert kept + found.totals.folded.count == found.totals.all.count
