"""What tests record, where they keep it, and how they read it back."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stats_service.batch import Batch
from stats_service.histogram import Histogram
from stats_service.measures import Measures, NumberMeasures
from stats_service.paging import Order, PageRequest, Place
from stats_service.records import ErrorRecord, NumberRecord
from stats_service.store import Bounds, StatsStore
from stats_service.store_memory import MemoryStore
from stats_service.store_postgresql import open_postgresql
from stats_service.store_sqlite import open_sqlite
from stats_service.summary import Page, Totals

#: A time of day at the beginning of a minute.
NOON = 1_699_963_200.0
DAY = 86_400.0


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def opened(database_url: str, clock: Clock, bounds: Bounds | None = None) -> AsyncIterator[StatsStore]:
    """The store of a URL such as STATS_DATABASE_URL has."""
    bounds = bounds or Bounds()
    if database_url == "memory:":
        yield MemoryStore(clock=clock, bounds=bounds)
    elif database_url.startswith("sqlite:///"):
        async with open_sqlite(Path(database_url.removeprefix("sqlite:///")), clock=clock, bounds=bounds) as store:
            yield store
    else:
        async with open_postgresql(database_url, clock=clock, bounds=bounds) as store:
            yield store


def bucket_of(ns: int) -> int:
    """The bucket of a time, in the words of stats.proto."""
    bits = ns.bit_length()
    return ns if bits < 5 else 8 * (bits - 4) + (ns >> (bits - 4))


def histogram_of(times_ns: Iterable[int]) -> Histogram:
    histogram: dict[int, int] = {}
    for ns in sorted(times_ns):
        histogram[bucket_of(ns)] = histogram.get(bucket_of(ns), 0) + 1
    return histogram


def answers(n: int, count: int = 1, hits: int = 0, coalesced: int = 0, *, each_ns: int = 100) -> NumberRecord:
    """So many answers, each of which took as long."""
    histogram = {bucket_of(each_ns): count}
    return NumberRecord(n, count, hits, coalesced, count * each_ns, each_ns, each_ns, histogram)


def batch(sequence: int, *records: NumberRecord, source: str = "life-1", **parts: Any) -> Batch:
    return Batch(records=records, source=source, sequence=sequence, **parts)


def failures(n: int, kind: int = 1, count: int = 1) -> ErrorRecord:
    return ErrorRecord(n, kind, count)


def measures(record: NumberRecord, seen: float = NOON, last_seen: float | None = None, **changes: Any) -> Measures:
    """What is kept of a number that was recorded once."""
    fields = {
        "count": record.count,
        "cache_hits": record.cache_hits,
        "coalesced": record.coalesced,
        "total_ns": record.total_ns,
        "min_ns": record.min_ns,
        "max_ns": record.max_ns,
        "first_seen": seen,
        "last_seen": seen if last_seen is None else last_seen,
        "histogram": record.histogram,
    }
    return Measures(**{**fields, **changes})


def kept(record: NumberRecord, seen: float = NOON, **changes: Any) -> NumberMeasures:
    return NumberMeasures(record.n, measures(record, seen, **changes))


async def page(store: StatsStore, size: int = 1_000, order: Order = Order.BUSIEST) -> Page:
    return await store.page(PageRequest(size, order))


async def totals(store: StatsStore) -> Totals:
    return (await page(store)).totals


async def numbers(store: StatsStore, order: Order = Order.BUSIEST) -> Sequence[NumberMeasures]:
    return (await page(store, order=order)).numbers


async def counts(store: StatsStore, order: Order = Order.BUSIEST) -> dict[int, int]:
    return {number.n: number.measures.count for number in await numbers(store, order)}


async def walk(store: StatsStore, size: int, order: Order) -> list[Page]:
    """Every page, each from where the one before ended."""
    pages = [await page(store, size, order)]
    while pages[-1].more:
        last = pages[-1].numbers[-1]
        pages.append(await store.page(PageRequest(size, order, Place(last.measures.count, last.n))))
    return pages


async def record_numbers(store: StatsStore, indices: Sequence[int], *, source: str = "many", count: int = 1) -> None:
    """Each of them so often, in batches of at most a thousand."""
    for start in range(0, len(indices), 1_000):
        records = [answers(n, count) for n in indices[start : start + 1_000]]
        assert await store.record(batch(start + 1, *records, source=source))


async def gathered(*calls: Any) -> list[Any]:
    return list(await asyncio.gather(*calls))
