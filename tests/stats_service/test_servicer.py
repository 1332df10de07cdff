from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import structlog
from google.protobuf.empty_pb2 import Empty

from service_kit.grpc_channel import open_channel
from service_kit.pb.stats import stats_pb2
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from stats_service.app import running
from tests.refusal import refusal_of
from tests.stats_service.conftest import settings_of

if TYPE_CHECKING:
    from service_kit.pb.stats.stats_pb2_grpc import StatsAsyncStub


@pytest.fixture(params=["memory:", "sqlite:///{}/stats.sqlite3"], ids=["memory", "sqlite"])
async def stored_stub(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator["StatsAsyncStub"]:
    """A stub over each kind of store."""
    settings = settings_of(database_url=request.param.format(tmp_path))
    async with running(settings) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield StatsStub(channel)


def record(n: int, **changes: int) -> stats_pb2.NumberRecord:
    """Two requests of n, one of them a cache hit."""
    durations = {"total_duration": 3_000_000, "min_duration": 1_000_000, "max_duration": 2_000_000}
    return stats_pb2.NumberRecord(n=n, **{"count": 2, "cache_hits": 1, **durations, **changes})


def batch(*records: stats_pb2.NumberRecord, **changes: Any) -> stats_pb2.RecordRequest:
    return stats_pb2.RecordRequest(**{"source": "life-1", "sequence": 1, "records": records, **changes})


def stat(n: int, request_count: int) -> stats_pb2.FibonacciStat:
    """What is told of requests such as those of `record`."""
    times = {"average_time_ms": 1.5, "min_time_ms": 1, "max_time_ms": 2}
    return stats_pb2.FibonacciStat(n=n, request_count=request_count, cache_hits=1, **times)


async def total(stub: "StatsAsyncStub") -> int:
    return (await stub.GetStats(Empty())).total_requests


async def test_a_single_record_is_counted_at_every_call(stored_stub: "StatsAsyncStub") -> None:
    for duration in (1_000_000, 3_000_000):
        answer = await stored_stub.RecordNo(stats_pb2.RecordRequest(n=10, duration=duration))
        assert answer == stats_pb2.RecordResponse(success=True)

    summary = await stored_stub.GetStats(Empty())
    both = stats_pb2.FibonacciStat(n=10, request_count=2, average_time_ms=2, min_time_ms=1, max_time_ms=3)
    assert summary == stats_pb2.StatsResponse(total_requests=2, fibonacci_stats=[both])


async def test_a_batch_is_counted_in_every_field(stored_stub: "StatsAsyncStub") -> None:
    answer = await stored_stub.RecordNo(batch(record(10), record(20, count=3, total_duration=4_500_000)))

    summary = await stored_stub.GetStats(Empty())
    assert answer == stats_pb2.RecordResponse(success=True)
    assert (summary.total_requests, summary.total_cache_hits) == (5, 2)
    assert list(summary.fibonacci_stats) == [stat(20, 3), stat(10, 2)]


async def test_a_repeated_batch_succeeds_as_a_duplicate_and_is_counted_once(stored_stub: "StatsAsyncStub") -> None:
    answers = [await stored_stub.RecordNo(batch(record(10), sequence=sequence)) for sequence in (7, 7, 3, 8)]

    assert all(answer.success for answer in answers)
    assert [answer.duplicate for answer in answers] == [False, True, True, False]
    assert await total(stored_stub) == 4


REFUSED = {
    "n": stats_pb2.RecordRequest(n=-1),
    "duration": stats_pb2.RecordRequest(n=10, duration=-1),
    "duration above 10**15": stats_pb2.RecordRequest(n=10, duration=10**15 + 1),
    "n beside source": batch(record(10), n=10),
    "duration beside source": batch(record(10), duration=10),
    "source is missing for records": batch(record(10), source="", sequence=0),
    "source is missing for sequence": batch(source="", sequence=1),
    "source of other characters": batch(record(10), source="a b"),
    "source ends a line": batch(record(10), source="a\n"),
    "source of 65": batch(record(10), source="a" * 65),
    "sequence of 0": batch(record(10), sequence=0),
    "sequence of -1": batch(record(10), sequence=-1),
    "records are missing": batch(),
    "records of 1001": batch(*map(record, range(1_001))),
    "records[1].n is negative": batch(record(10), record(-1)),
    "records[1].n repeats": batch(record(10), record(10)),
    "records[2].n falls": batch(record(10), record(11), record(9)),
    "records[0].count of 0": batch(record(10, count=0, cache_hits=0, total_duration=0)),
    "records[0].count of -1": batch(record(10, count=-1)),
    "records[0].count above 10**9": batch(record(10, count=10**9 + 1, total_duration=2 * 10**15)),
    "records[0].cache_hits above count": batch(record(10, cache_hits=3)),
    "records[0].cache_hits of -1": batch(record(10, cache_hits=-1)),
    "records[0].min_duration of -1": batch(record(10, min_duration=-1)),
    "records[0].max_duration below min": batch(record(10, max_duration=999_999)),
    "records[1].total_duration too short": batch(record(10), record(20, total_duration=1_999_999)),
    "records[0].total_duration too long": batch(record(10, total_duration=4_000_001)),
    "records[0].total_duration above 10**15": batch(record(10, total_duration=10**15 + 1, max_duration=10**15)),
}


@pytest.mark.parametrize(("fault", "request_"), REFUSED.items(), ids=REFUSED)
async def test_a_record_that_breaks_the_contract_is_refused_by_field_and_nothing_is_applied(
    stub: "StatsAsyncStub", fault: str, request_: stats_pb2.RecordRequest
) -> None:
    refusal = await refusal_of(stub.RecordNo(request_))

    field, *_ = fault.split()
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "RECORD_INVALID")
    assert refusal.field == field
    assert refusal.message == f"{field} {refusal.facts['bound']}"
    assert await stub.GetStats(Empty()) == stats_pb2.StatsResponse()


async def test_a_refused_batch_does_not_use_up_its_sequence(stub: "StatsAsyncStub") -> None:
    await refusal_of(stub.RecordNo(batch(record(10, count=0))))

    assert not (await stub.RecordNo(batch(record(10)))).duplicate


@pytest.mark.parametrize(
    "request_",
    [
        batch(record(0), source="A-Za-z0-9._-" + "x" * 52, sequence=2**63 - 1),
        batch(record(10, total_duration=2_000_000), record(2**31 - 1, total_duration=4_000_000)),
        batch(record(10, cache_hits=0), record(11, cache_hits=2)),
        batch(*map(record, range(1_000))),
        batch(record(10, count=1, total_duration=10**15, min_duration=0, max_duration=10**15)),
        stats_pb2.RecordRequest(),
        stats_pb2.RecordRequest(duration=10**15),
    ],
    ids=["source", "durations and n", "cache_hits", "records", "total_duration", "empty", "duration"],
)
async def test_the_bounds_themselves_are_accepted(stub: "StatsAsyncStub", request_: stats_pb2.RecordRequest) -> None:
    answer = await stub.RecordNo(request_)

    assert answer == stats_pb2.RecordResponse(success=True)
    assert await total(stub) == (sum(record.count for record in request_.records) or 1)


async def test_no_record_however_large_makes_the_account_unreadable(stored_stub: "StatsAsyncStub") -> None:
    most = 2**63 - 1
    codes: set[grpc.StatusCode] = set()
    await stored_stub.RecordNo(batch(record(10)))
    for sequence in (2, 3):
        huge = record(10, count=most, total_duration=0, min_duration=0, max_duration=0)
        try:
            await stored_stub.RecordNo(batch(huge, sequence=sequence))
        except grpc.aio.AioRpcError as error:
            refused = error.code()
            assert refused is grpc.StatusCode.INVALID_ARGUMENT

    assert await total(stored_stub) >= 2
    assert codes <= {grpc.StatusCode.INVALID_ARGUMENT}


async def record_numbers(stub: "StatsAsyncStub", count: int) -> None:
    """So many numbers, each twice, but the first three times."""
    most = record(0, count=3)
    for start in range(0, count, 500):
        records = [record(n) if n else most for n in range(start, min(start + 500, count))]
        await stub.RecordNo(batch(*records, sequence=start + 1))


async def test_get_stats_returns_the_hundred_busiest_and_the_totals_of_all(stored_stub: "StatsAsyncStub") -> None:
    await record_numbers(stored_stub, 150)

    summary = await stored_stub.GetStats(Empty())

    assert [number.n for number in summary.fibonacci_stats] == list(range(100))
    assert (summary.total_requests, summary.total_cache_hits) == (301, 150)


@pytest.mark.parametrize(("page_size", "rows"), [(0, 100), (1, 1), (100, 100), (999, 999), (1_000, 1_000)])
async def test_list_stats_returns_as_many_as_asked(stub: "StatsAsyncStub", page_size: int, rows: int) -> None:
    await record_numbers(stub, 1_100)

    summary = await stub.ListStats(stats_pb2.ListStatsRequest(page_size=page_size))

    assert [number.n for number in summary.fibonacci_stats] == list(range(rows))
    assert (summary.total_requests, summary.total_cache_hits) == (2_201, 1_100)


@pytest.mark.parametrize("page_size", [-1, 1_001, 2**31 - 1, -(2**31)])
async def test_list_stats_refuses_a_page_size_outside_its_bounds(stub: "StatsAsyncStub", page_size: int) -> None:
    refusal = await refusal_of(stub.ListStats(stats_pb2.ListStatsRequest(page_size=page_size)))

    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (refusal.reason, refusal.field) == ("PAGE_SIZE_OUT_OF_RANGE", "page_size")
    assert refusal.message == f"page_size must be from 1 to 1000, not {page_size}"
    assert refusal.facts == {"page_size": str(page_size), "limit": "1000"}


async def test_of_nothing_recorded_the_account_is_empty(stored_stub: "StatsAsyncStub") -> None:
    assert await stored_stub.GetStats(Empty()) == stats_pb2.StatsResponse()
    assert await stored_stub.ListStats(stats_pb2.ListStatsRequest()) == stats_pb2.ListStatsResponse()


async def test_the_line_of_a_batch_says_from_whom_it_was_and_whether_it_was_new() -> None:
    async with running(settings_of(log_requests="all")) as port, open_channel(f"127.0.0.1:{port}") as channel:
        with structlog.testing.capture_logs() as lines:
            for _ in range(2):
                await StatsStub(channel).RecordNo(batch(record(10), record(20)))

    served = [line for line in lines if line["event"] == "rpc.served"]
    assert [(line["source"], line["sequence"], line["requests"]) for line in served] == [("life-1", 1, 4)] * 2
    assert [line["duplicate"] for line in served] == [False, True]
