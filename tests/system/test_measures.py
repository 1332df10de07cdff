"""The account at rest agrees with itself and with what was asked, in every measure; and after a kill it still does."""

import asyncio
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from deploy.local.processes import System
from service_kit.grpc_channel import open_channel
from service_kit.pb.stats import stats_pb2
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from tests.system.account import settled
from tests.system.conftest import Report
from tests.system.load import Load, load
from tests.system.workers import wait_until_at_work, workers_of

if TYPE_CHECKING:
    from service_kit.pb.stats.stats_pb2_grpc import StatsAsyncStub

pytestmark = pytest.mark.slow

#: Is computed by a worker process, in some milliseconds.
DEAR_N = 1_000_000
ASKED_AT_ONCE = 20
#: Is not known yet when the worker is killed.
LONG_N = 3_000_000


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    settings = {"FIBONACCI_MAX_N": 100_000_000, "GATEWAY_DEADLINE_SECONDS": 50}
    with System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3", settings=settings) as running:
        yield running


async def test_every_measure_adds_up(system: System, report: Report) -> None:
    async with httpx.AsyncClient(base_url=system.url, timeout=50) as client:
        async with load(system.url) as sent:
            await sent.answered(300)
        await ask_at_once(client, sent)
        await ask_while_a_worker_is_killed(system, client, sent)
        for path in ("/fib/range?start=1&count=3", "/fib/residue?n=10&modulus=7", "/fib/describe?n=1000"):
            assert (await client.get(path)).status_code == 200
    account = await settled(system, sent)
    page, minutes = await read(system)
    await asyncio.to_thread(system.stats.kill)
    await asyncio.to_thread(system.stats.start)

    report(account)
    assert account.is_exact
    check_numbers(page.fibonacci_stats)
    check_totals(page)
    check_minutes(minutes, page.totals.all)
    [long] = [number for number in page.fibonacci_stats if number.n == LONG_N]
    assert [(error.kind, error.count) for error in long.errors] == [(stats_pb2.WORKER_LOST, 1)]
    [dear] = [number for number in page.fibonacci_stats if number.n == DEAR_N]
    assert (dear.cache_misses, dear.cache_hits + dear.coalesced) == (1, ASKED_AT_ONCE - 1)
    assert await read(system) == (page, minutes)


async def ask_at_once(client: httpx.AsyncClient, sent: Load) -> None:
    answers = await asyncio.gather(*(client.get(f"/fib?n={DEAR_N}") for _ in range(ASKED_AT_ONCE)))
    for answer in answers:
        await sent.note(DEAR_N, answer.status_code)


async def ask_while_a_worker_is_killed(system: System, client: httpx.AsyncClient, sent: Load) -> None:
    """The gateway asks again, so that there is an answer and an error."""
    [worker] = workers_of(system.fibonacci)
    os.kill(worker, signal.SIGSTOP)
    asking = asyncio.create_task(client.get(f"/fib?n={LONG_N}"))
    await asyncio.to_thread(wait_until_at_work, system)
    os.kill(worker, signal.SIGKILL)
    await sent.note(LONG_N, (await asking).status_code)


def check_numbers(numbers: Iterable[stats_pb2.FibonacciStat]) -> None:
    for number in numbers:
        assert number.cache_hits + number.cache_misses + number.coalesced == number.request_count
        percentiles = (number.p50_time_ms, number.p90_time_ms, number.p99_time_ms)
        times = (number.min_time_ms, *percentiles, number.max_time_ms)
        assert number.HasField("p50_time_ms")
        assert times == tuple(sorted(times))
        assert number.min_time_ms <= number.average_time_ms <= number.max_time_ms
        assert 0 < number.first_seen.ToNanoseconds() <= number.last_seen.ToNanoseconds()


def check_totals(page: stats_pb2.ListStatsResponse) -> None:
    numbers, together = page.fibonacci_stats, page.totals.all
    check_numbers([together])
    for field in ("request_count", "cache_hits", "cache_misses", "coalesced"):
        assert getattr(together, field) == sum(getattr(number, field) for number in numbers), field
    assert (page.total_requests, page.total_cache_hits) == (together.request_count, together.cache_hits)
    assert together.min_time_ms == min(number.min_time_ms for number in numbers)
    assert together.max_time_ms == max(number.max_time_ms for number in numbers)
    assert [(error.kind, error.count) for error in together.errors] == [(stats_pb2.WORKER_LOST, 1)]
    assert [(use.operation, use.count) for use in page.totals.operations] == [
        (stats_pb2.RANGE, 1),
        (stats_pb2.RESIDUE, 1),
        (stats_pb2.DESCRIPTION, 1),
    ]
    assert (page.totals.numbers, page.totals.folded.request_count) == (len(numbers), 0)


def check_minutes(minutes: stats_pb2.ListMinutesResponse, together: stats_pb2.FibonacciStat) -> None:
    for field in ("request_count", "cache_hits", "coalesced"):
        assert sum(getattr(minute, field) for minute in minutes.minutes) == getattr(together, field), field
    assert sum(minute.errors for minute in minutes.minutes) == sum(error.count for error in together.errors)
    time_ms = sum(minute.request_count * minute.average_time_ms for minute in minutes.minutes)
    assert time_ms == pytest.approx(together.request_count * together.average_time_ms)


async def read(system: System) -> tuple[stats_pb2.ListStatsResponse, stats_pb2.ListMinutesResponse]:
    async with open_channel(f"127.0.0.1:{system.stats.port}") as channel:
        stub: StatsAsyncStub = StatsStub(channel)
        page = await stub.ListStats(stats_pb2.ListStatsRequest(page_size=1000), timeout=5, wait_for_ready=True)
        return page, await stub.ListMinutes(stats_pb2.ListMinutesRequest(), timeout=5)
