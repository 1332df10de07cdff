"""stats_services of two releases over one PostgreSQL, as while one replica after the other is upgraded."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from deploy.local.processes import ServiceProcess
from service_kit.grpc_channel import open_channel
from service_kit.pb.stats import stats_pb2
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from tests.postgres import Postgres
from tests.system.releases import code_of, git

if TYPE_CHECKING:
    from service_kit.pb.stats.stats_pb2_grpc import StatsAsyncStub

pytestmark = pytest.mark.slow

#: So few rows and so short a pause that every batch meets a folding.
BOUNDS = {"STATS_MAX_NUMBERS": 1_000, "STATS_MAX_HISTOGRAMS": 100, "STATS_TIDY_INTERVAL_SECONDS": 0.01}
SOURCES = 6
SEQUENCES = range(1, 13)
NUMBERS = 300
ALL = SOURCES * len(SEQUENCES) * NUMBERS


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The code of the first release that kept an account in PostgreSQL."""
    commits = git("log", "--reverse", "--format=%H", "--", "stats_service/store_postgresql.py").decode().split()
    return code_of(commits[0], tmp_path / "old")


@pytest.fixture
def replicas(old: Path, postgres: Postgres) -> Iterator[list[ServiceProcess]]:
    """One of the old release, which makes the tables, and then one of this."""
    settings = {"STATS_LISTEN_PORT": 0, "STATS_DATABASE_URL": postgres.new_database(), "STATS_DRAIN_DELAY_SECONDS": 0}
    with ExitStack() as stack:
        started = []
        for folder in (old, None):
            replica = ServiceProcess("stats_service", settings | BOUNDS)
            replica.folder = folder
            started.append(replica.start())
            stack.callback(replica.kill)
        yield started


def batch(source: int, sequence: int) -> stats_pb2.RecordRequest:
    """Of numbers that two other sources tell of as well, and two other batches of this one."""
    first = 100 * (source + sequence)
    records = [
        stats_pb2.NumberRecord(
            n=n, count=1, total_duration=50, min_duration=50, max_duration=50, buckets=[33], bucket_counts=[1]
        )
        for n in range(first, first + NUMBERS)
    ]
    errors = [stats_pb2.ErrorRecord(n=first, kind=stats_pb2.WORKERS_BUSY, count=1)]
    return stats_pb2.RecordRequest(source=f"life-{source}", sequence=sequence, records=records, errors=errors)


async def deliver(stub: "StatsAsyncStub", sent: stats_pb2.RecordRequest) -> bool:
    """Again until it is acknowledged, as a recorder does; whether it was new."""
    while True:
        try:
            return not (await stub.RecordNo(sent, timeout=20, wait_for_ready=True)).duplicate
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise


async def deliver_all(source: int, stubs: "list[StatsAsyncStub]") -> int:
    """In order, each batch to one replica and then to the other; how often one was new."""
    deliveries = [
        await deliver(stub, batch(source, sequence))
        for sequence in SEQUENCES
        for stub in (stubs if (source + sequence) % 2 else reversed(stubs))
    ]
    return sum(deliveries)


async def rows(stub: "StatsAsyncStub") -> int:
    """The requests that the rows of single numbers tell of."""
    count, token = 0, ""
    while True:
        page = await stub.ListStats(stats_pb2.ListStatsRequest(page_size=1_000, order=stats_pb2.N, page_token=token))
        count += sum(stat.request_count for stat in page.fibonacci_stats)
        token = page.next_page_token
        if not token:
            return count


async def told(replica: ServiceProcess) -> stats_pb2.StatsResponse:
    async with open_channel(f"127.0.0.1:{replica.port}") as channel:
        stub = StatsStub(channel)
        answer = await stub.GetStats(Empty(), timeout=5, wait_for_ready=True)
        assert await rows(stub) + answer.totals.folded.request_count == answer.total_requests
        return answer


async def test_replicas_of_two_releases_lose_and_double_nothing_in_one_postgresql(
    replicas: list[ServiceProcess],
) -> None:
    async with (
        open_channel(f"127.0.0.1:{replicas[0].port}") as one,
        open_channel(f"127.0.0.1:{replicas[1].port}") as other,
    ):
        stubs = [StatsStub(one), StatsStub(other)]
        new = await asyncio.gather(*(deliver_all(source, stubs) for source in range(SOURCES)))

    assert new == [len(SEQUENCES)] * SOURCES
    await settled(replicas[1])
    for replica in replicas:
        answer = await told(replica)
        assert (answer.total_requests, answer.totals.numbers) == (ALL, BOUNDS["STATS_MAX_NUMBERS"])
        assert [error.count for error in answer.totals.all.errors] == [SOURCES * len(SEQUENCES)]


async def settled(replica: ServiceProcess) -> None:
    """Returns once a tidying has put away what the last batches brought."""
    async with asyncio.timeout(10), open_channel(f"127.0.0.1:{replica.port}") as channel:
        stub, bound = StatsStub(channel), BOUNDS["STATS_MAX_NUMBERS"]
        while (await stub.GetStats(Empty())).totals.numbers > bound:  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(0.05)


async def test_the_old_release_starts_over_the_tables_of_the_new_and_goes_on(replicas: list[ServiceProcess]) -> None:
    for restarted, sequence in zip(itertools.chain(replicas, replicas), range(1, 5), strict=True):
        assert await asyncio.to_thread(restarted.stop) == 0
        await asyncio.to_thread(restarted.start)
        async with open_channel(f"127.0.0.1:{restarted.port}") as channel:
            assert await deliver(StatsStub(channel), batch(1, sequence))

    for replica in replicas:
        assert (await told(replica)).total_requests == 4 * NUMBERS
