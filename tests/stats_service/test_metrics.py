"""Each metric of stats_service is caused once, and read from a real scrape."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.empty_pb2 import Empty

from service_kit.grpc_channel import open_channel
from service_kit.pb.stats import stats_pb2
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from stats_service.app import running
from tests.refusal import refusal_of
from tests.scrapes import Scraper, scraped
from tests.stats_service.conftest import settings_of
from tests.stats_service.messages import batch, record, record_numbers
from tests.stats_service.sqlite_files import connected

if TYPE_CHECKING:
    from service_kit.pb.stats.stats_pb2_grpc import StatsAsyncStub

    Told = tuple[StatsAsyncStub, Scraper]


@asynccontextmanager
async def told(**changes: Any) -> "AsyncIterator[Told]":
    async with (
        scraped(running, settings_of(**changes)) as (port, scraper),
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield StatsStub(channel), scraper


async def test_batches_are_told_by_what_became_of_them() -> None:
    async with told() as (stub, scraper):
        await stub.RecordNo(batch(record(10), record(20)))
        await stub.RecordNo(batch(record(10), record(20)))
        scrape = await scraper()

    assert scrape.value("stats_batches_total", outcome="applied") == 1
    assert scrape.value("stats_batches_total", outcome="duplicate") == 1
    assert scrape.value("stats_requests_total") == 4
    assert scrape.value("rpc_server_call_duration_seconds_count", rpc_method="stats.Stats/RecordNo") == 2


async def test_numbers_are_told_and_those_that_were_folded(database_url: str) -> None:
    """2,100 are a hundred more than make it fold at once; the tidying puts the others away."""
    async with told(database_url=database_url, max_numbers=1_000, tidy_interval_seconds=0.01) as (stub, scraper):
        await record_numbers(stub, 2_100)
        await scraper.until("stats_numbers_folded_total", 1_100)
        await scraper.until("stats_numbers", 1_000)  # which is counted after that


async def test_transactions_are_told_and_those_that_the_database_did_not_do(tmp_path: Path) -> None:
    path = tmp_path / "stats.sqlite3"
    async with told(database_url=f"sqlite:///{path}") as (stub, scraper):
        begun = await scraper()
        await stub.RecordNo(batch(record(10)))
        await stub.GetStats(Empty())
        done = await scraper()
        with connected(path) as file:
            file.execute("DROP TABLE totals")
        await refusal_of(stub.RecordNo(batch(record(20), sequence=2)))
        failed = await scraper()

    count, total = "stats_transaction_duration_seconds_count", "stats_transaction_duration_seconds_sum"
    assert [done.value(count, kind=kind) - begun.value(count, kind=kind) for kind in ("write", "read")] == [1, 1]
    assert 0 < done.value(total) < 20
    assert (done.value("stats_transactions_failed_total"), failed.value("stats_transactions_failed_total")) == (0, 1)
    assert failed.value(count) == done.value(count)


async def test_watchers_are_told_and_those_that_were_refused() -> None:
    async with told(max_watchers=1) as (stub, scraper):
        watching = stub.WatchStats(stats_pb2.WatchStatsRequest())
        await watching.read()
        await refusal_of(stub.WatchStats(stats_pb2.WatchStatsRequest()).read())
        scrape = await scraper()
        watching.cancel()
        await scraper.until("stats_watchers", 0)

    assert scrape.value("stats_watchers") == 1
    assert scrape.value("rpc_server_shed_total", kind="watchers") == 1


async def test_no_number_and_no_source_makes_a_series_of_its_own() -> None:
    async with told() as (stub, scraper):
        await stub.RecordNo(batch(record(1)))
        before = await scraper()
        for n in range(100):
            await stub.RecordNo(batch(record(n), source=f"life-{n}", sequence=2))
        after = await scraper()

    assert after.value("stats_batches_total", outcome="applied") == 101
    assert after.series == before.series
