"""What is recorded and read over gRPC. test_servicer_refusals.py has bad input, test_servicer_watch.py the streams."""

import asyncio
import time
from typing import TYPE_CHECKING

import grpc
import pytest
import structlog
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp

from service_kit import logs
from service_kit.grpc_channel import open_channel
from service_kit.pb.stats import stats_pb2
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from stats_service.app import running
from tests.refusal import refusal_of
from tests.stats_service.conftest import settings_of
from tests.stats_service.messages import (
    BUSY,
    LOST,
    RANGE,
    RESIDUE,
    batch,
    error,
    operation,
    record,
    record_numbers,
    total,
)

if TYPE_CHECKING:
    from service_kit.pb.stats.stats_pb2_grpc import StatsAsyncStub


def told(stat: stats_pb2.FibonacciStat) -> stats_pb2.FibonacciStat:
    """Without the times of day, which the clock gives."""
    assert stat.first_seen.seconds <= stat.last_seen.seconds
    assert stat.HasField("first_seen")
    copy = stats_pb2.FibonacciStat()
    copy.CopyFrom(stat)
    copy.ClearField("first_seen")
    copy.ClearField("last_seen")
    return copy


def stat(n: int, request_count: int, cache_hits: int = 1) -> stats_pb2.FibonacciStat:
    """What is told of requests such as those of `record`."""
    return stats_pb2.FibonacciStat(
        n=n,
        request_count=request_count,
        cache_hits=cache_hits,
        cache_misses=request_count - cache_hits,
        average_time_ms=1.5,
        min_time_ms=1,
        max_time_ms=2,
    )


async def test_a_single_record_is_counted_at_every_call(stored_stub: "StatsAsyncStub") -> None:
    for duration in (1_000_000, 3_000_000):
        answer = await stored_stub.RecordNo(stats_pb2.RecordRequest(n=10, duration=duration))
        assert answer == stats_pb2.RecordResponse(success=True)

    stats = await stored_stub.GetStats(Empty())
    [ten] = stats.fibonacci_stats
    assert (stats.total_requests, ten.request_count, ten.cache_misses) == (2, 2, 2)
    assert (ten.n, ten.average_time_ms, ten.min_time_ms, ten.max_time_ms) == (10, 2, 1, 3)
    assert ten.p50_time_ms == pytest.approx(1, rel=1 / 16)
    assert ten.p99_time_ms == pytest.approx(3, rel=1 / 16)


async def test_a_batch_is_counted_in_every_field(stored_stub: "StatsAsyncStub") -> None:
    answer = await stored_stub.RecordNo(batch(record(10), record(20, count=3, total_duration=4_500_000)))

    stats = await stored_stub.GetStats(Empty())
    assert answer == stats_pb2.RecordResponse(success=True)
    assert (stats.total_requests, stats.total_cache_hits) == (5, 2)
    assert [told(each) for each in stats.fibonacci_stats] == [stat(20, 3), stat(10, 2)]
    assert told(stats.totals.all) == stat(0, 5, 2)
    assert stats.totals.numbers == 2


async def test_what_is_told_of_a_number_is_all_that_was_recorded_of_it(stored_stub: "StatsAsyncStub") -> None:
    now = int(time.time())
    start, end = Timestamp(seconds=now - 20, nanos=250_000_000), Timestamp(seconds=now - 10)
    # 1 ms and 2 ms, by the buckets of the contract.
    ten = record(10, cache_hits=0, coalesced=1, buckets=[143, 151], bucket_counts=[1, 1])
    errors = [error(10, BUSY, 3), error(10, LOST, 1)]
    await stored_stub.RecordNo(batch(ten, errors=errors, start_time=start, end_time=end))

    number = (await stored_stub.GetNumberStats(stats_pb2.GetNumberStatsRequest(n=10))).stat

    assert (number.n, number.request_count, number.cache_hits, number.coalesced, number.cache_misses) == (
        10,
        2,
        0,
        1,
        1,
    )
    assert (number.average_time_ms, number.min_time_ms, number.max_time_ms) == (1.5, 1, 2)
    assert number.p50_time_ms == pytest.approx(1, rel=1 / 16)
    assert [number.p90_time_ms, number.p99_time_ms] == pytest.approx([2, 2], rel=1 / 16)
    assert (number.first_seen, number.last_seen) == (start, end)
    assert [(each.kind, each.count) for each in number.errors] == [(BUSY, 3), (LOST, 1)]


async def test_without_a_histogram_no_percentile_is_told(stored_stub: "StatsAsyncStub") -> None:
    await stored_stub.RecordNo(batch(record(10)))

    number = (await stored_stub.GetNumberStats(stats_pb2.GetNumberStatsRequest(n=10))).stat

    assert not any((number.HasField("p50_time_ms"), number.HasField("p90_time_ms"), number.HasField("p99_time_ms")))


async def test_operations_and_errors_are_in_the_totals(stored_stub: "StatsAsyncStub") -> None:
    await stored_stub.RecordNo(batch(errors=[error(7, LOST, 2)], operations=[operation(RANGE, 4), operation(RESIDUE)]))

    totals = (await stored_stub.GetStats(Empty())).totals

    assert [(each.operation, each.count) for each in totals.operations] == [(RANGE, 4), (RESIDUE, 1)]
    assert [(each.kind, each.count) for each in totals.all.errors] == [(LOST, 2)]
    assert (totals.all.request_count, totals.numbers) == (0, 1)


async def test_kinds_and_operations_of_a_newer_sender_are_counted(stub: "StatsAsyncStub") -> None:
    await stub.RecordNo(batch(errors=[error(7, 30, 2)], operations=[operation(29, 4)]))

    totals = (await stub.GetStats(Empty())).totals

    assert [(each.kind, each.count) for each in totals.all.errors] == [(30, 2)]
    assert [(each.operation, each.count) for each in totals.operations] == [(29, 4)]


async def test_a_repeated_batch_succeeds_as_a_duplicate_and_is_counted_once(stored_stub: "StatsAsyncStub") -> None:
    answers = [await stored_stub.RecordNo(batch(record(10), sequence=sequence)) for sequence in (7, 7, 3, 8)]

    assert all(answer.success for answer in answers)
    assert [answer.duplicate for answer in answers] == [False, True, True, False]
    assert await total(stored_stub) == 4


async def test_get_stats_returns_the_hundred_busiest_and_the_totals_of_all(stored_stub: "StatsAsyncStub") -> None:
    await record_numbers(stored_stub, 150)

    stats = await stored_stub.GetStats(Empty())

    assert [number.n for number in stats.fibonacci_stats] == list(range(100))
    assert (stats.total_requests, stats.total_cache_hits, stats.totals.numbers) == (301, 150, 150)


@pytest.mark.parametrize(("page_size", "rows"), [(0, 100), (1, 1), (100, 100), (999, 999), (1_000, 1_000)])
async def test_list_stats_returns_as_many_as_asked(stub: "StatsAsyncStub", page_size: int, rows: int) -> None:
    await record_numbers(stub, 1_100)

    stats = await stub.ListStats(stats_pb2.ListStatsRequest(page_size=page_size))

    assert [number.n for number in stats.fibonacci_stats] == list(range(rows))
    assert (stats.total_requests, stats.total_cache_hits) == (2_201, 1_100)
    assert stats.next_page_token


@pytest.mark.parametrize("order", stats_pb2.Order.values())
async def test_the_pages_of_list_stats_have_every_number_once(
    stored_stub: "StatsAsyncStub", order: stats_pb2.Order.ValueType
) -> None:
    await record_numbers(stored_stub, 250)
    found: list[int] = []
    request = stats_pb2.ListStatsRequest(order=order)
    while True:
        page = await stored_stub.ListStats(request)
        found += [number.n for number in page.fibonacci_stats]
        assert page.total_requests == 501
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token

    falls = order in (stats_pb2.Order.LEAST_BUSY, stats_pb2.Order.N_DESCENDING)
    assert found == sorted(range(250), reverse=falls)


async def test_list_stats_and_get_stats_tell_the_same_first_page(stored_stub: "StatsAsyncStub") -> None:
    await record_numbers(stored_stub, 150)

    listed, got = await stored_stub.ListStats(stats_pb2.ListStatsRequest()), await stored_stub.GetStats(Empty())

    assert list(listed.fibonacci_stats) == list(got.fibonacci_stats)
    assert listed.totals == got.totals


async def test_what_is_acknowledged_is_in_whatever_is_read_next(stored_stub: "StatsAsyncStub") -> None:
    """While others read the first page, which is remembered for them."""
    done = asyncio.Event()

    async def read_all_the_time() -> None:
        while not done.is_set():
            await stored_stub.GetStats(Empty())

    reading = [asyncio.create_task(read_all_the_time()) for _ in range(4)]
    for sequence in range(1, 31):
        await stored_stub.RecordNo(batch(record(10), sequence=sequence))
        stats, listed = await asyncio.gather(
            stored_stub.GetStats(Empty()), stored_stub.ListStats(stats_pb2.ListStatsRequest())
        )
        assert stats.total_requests == listed.total_requests == 2 * sequence
    done.set()
    await asyncio.gather(*reading)


async def test_a_number_that_was_never_asked_for_is_not_found(stored_stub: "StatsAsyncStub") -> None:
    await stored_stub.RecordNo(batch(record(10)))

    refusal = await refusal_of(stored_stub.GetNumberStats(stats_pb2.GetNumberStatsRequest(n=11)))

    assert refusal.code is grpc.StatusCode.NOT_FOUND
    assert (refusal.reason, refusal.field, refusal.facts) == ("NUMBER_UNKNOWN", "", {"n": "11"})


async def test_list_minutes_tells_what_happened_in_each(stored_stub: "StatsAsyncStub") -> None:
    this_minute = int(time.time()) // 60 * 60
    for sequence, minutes_ago in enumerate((3, 3, 1), 1):
        start = Timestamp(seconds=this_minute - 60 * minutes_ago, nanos=5)
        await stored_stub.RecordNo(
            batch(record(10, coalesced=1), errors=[error(10)], sequence=sequence, start_time=start)
        )

    response = await stored_stub.ListMinutes(stats_pb2.ListMinutesRequest())

    def minute(minutes_ago: int, batches: int) -> stats_pb2.MinuteStat:
        counts = dict.fromkeys(("cache_hits", "coalesced", "errors"), batches)
        start = Timestamp(seconds=this_minute - 60 * minutes_ago)
        return stats_pb2.MinuteStat(start_time=start, request_count=2 * batches, average_time_ms=1.5, **counts)

    assert list(response.minutes) == [minute(3, 2), minute(1, 1)]


async def test_of_nothing_recorded_the_account_is_empty(stored_stub: "StatsAsyncStub") -> None:
    nothing = stats_pb2.Totals(all=stats_pb2.FibonacciStat(), folded=stats_pb2.FibonacciStat())

    assert await stored_stub.GetStats(Empty()) == stats_pb2.StatsResponse(totals=nothing)
    listed = await stored_stub.ListStats(stats_pb2.ListStatsRequest())
    assert listed == stats_pb2.ListStatsResponse(totals=nothing)
    assert await stored_stub.ListMinutes(stats_pb2.ListMinutesRequest()) == stats_pb2.ListMinutesResponse()


async def test_the_line_of_a_batch_says_from_whom_it_was_and_whether_it_was_new() -> None:
    async with running(settings_of(log_requests="all")) as port, open_channel(f"127.0.0.1:{port}") as channel:
        with structlog.testing.capture_logs() as lines:
            for _ in range(2):
                await StatsStub(channel).RecordNo(batch(record(10), record(20)))

    served = [line for line in lines if line["event"] == "rpc.served"]
    assert [(line["source"], line["sequence"], line["requests"]) for line in served] == [("life-1", 1, 4)] * 2
    assert [line["duplicate"] for line in served] == [False, True]


async def test_a_number_that_is_not_found_is_no_failure_that_is_logged(
    stub: "StatsAsyncStub", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "SLOW_REQUEST_SECONDS", 3600)  # a call that is held up would have a line
    with structlog.testing.capture_logs() as lines:
        await refusal_of(stub.GetNumberStats(stats_pb2.GetNumberStatsRequest(n=11)))

    assert lines == []
