import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import structlog
from google.protobuf.empty_pb2 import Empty

from service_kit.grpc_channel import open_channel
from service_kit.pb.stats import stats_pb2
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from stats_service.app import running
from stats_service.settings import Settings
from tests.fibonacci_service.recording import NEVER, account, answered, record_all, recorder_of, shape, waiting
from tests.fibonacci_service.scripted_stats import ScriptedStats, accept, served


@pytest.fixture
async def stats() -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the real service, which keeps its account in memory."""
    settings = Settings(listen_port=0, drain_delay_seconds=0, database_url="memory:")
    async with running(settings) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield channel


async def test_what_was_answered_reaches_the_real_service(stats: grpc.aio.Channel) -> None:
    async with recorder_of(stats) as recorder:
        recorder.record(answered(10, 2_000_000))
        recorder.record(answered(10, 1_000_000, cached=True))
        recorder.record(answered(10, 6_000_000, cached=True))
        recorder.record(answered(20, 500_000))

    summary = await StatsStub(stats).GetStats(Empty())
    assert account(recorder) == {"served": 4, "recorded": 4, "pending": 0, "dropped": 0}
    assert (summary.total_requests, summary.total_cache_hits) == (4, 2)
    busiest = {"request_count": 3, "average_time_ms": 3, "cache_hits": 2, "min_time_ms": 1, "max_time_ms": 6}
    assert summary.fibonacci_stats[0] == stats_pb2.FibonacciStat(n=10, **busiest)


async def test_it_sends_while_it_runs_one_batch_after_another() -> None:
    servicer = ScriptedStats(accept)
    async with served(servicer) as channel, recorder_of(channel) as recorder:
        recorder.record(answered(10))
        first = await servicer.next_batch()
        record_all(recorder, [20, 20])
        second = await servicer.next_batch()

        # The second is sent only once the first is acknowledged.
        assert recorder.recorded >= 1
        assert [shape(first), shape(second)] == [(1, {10: 1}), (2, {20: 2})]
        assert first.source == second.source


async def test_with_nothing_answered_nothing_is_sent() -> None:
    servicer = ScriptedStats(accept)
    async with served(servicer) as channel, recorder_of(channel, interval_seconds=NEVER):
        pass

    assert servicer.batches() == []


async def test_two_lives_are_two_sources() -> None:
    servicer = ScriptedStats(accept)
    async with served(servicer) as channel:
        for _ in range(2):
            async with recorder_of(channel, interval_seconds=NEVER) as recorder:
                recorder.record(answered(10))

    first, second = servicer.batches()
    assert first.source != second.source
    assert (first.sequence, second.sequence) == (1, 1)


async def test_more_numbers_than_a_batch_holds_go_in_several(stats: grpc.aio.Channel) -> None:
    servicer = ScriptedStats(accept)
    async with served(servicer) as channel, recorder_of(channel, interval_seconds=NEVER) as recorder:
        record_all(recorder, reversed(range(2_500)))

    batches = servicer.batches()
    assert [(batch.sequence, len(batch.records)) for batch in batches] == [(1, 1_000), (2, 1_000), (3, 500)]
    assert [record.n for batch in batches for record in batch.records] == list(range(2_500))
    for batch in batches:
        assert not (await StatsStub(stats).RecordNo(batch)).duplicate
    assert recorder.recorded == (await StatsStub(stats).GetStats(Empty())).total_requests == 2_500


async def test_served_is_recorded_and_pending_and_dropped_at_every_step() -> None:
    answer = asyncio.Event()

    async def wait(_request: stats_pb2.RecordRequest, _context: Any) -> None:
        await answer.wait()

    servicer = ScriptedStats(wait)
    async with served(servicer) as channel:
        async with recorder_of(channel, max_pending=2) as recorder:
            record_all(recorder, [1, 1, 2, 3])
            assert account(recorder) == {"served": 4, "recorded": 0, "pending": 3, "dropped": 1}
            await servicer.next_batch()
            record_all(recorder, [1, 5])
            assert account(recorder) == {"served": 6, "recorded": 0, "pending": 5, "dropped": 1}
            assert waiting(recorder) == 5
            answer.set()
            await servicer.next_batch()
            assert account(recorder) in (
                {"served": 6, "recorded": 3, "pending": 2, "dropped": 1},
                {"served": 6, "recorded": 5, "pending": 0, "dropped": 1},
            )
            assert waiting(recorder) == recorder.pending
        assert account(recorder) == {"served": 6, "recorded": 5, "pending": 0, "dropped": 1}


async def test_numbers_past_the_bound_are_dropped_and_counted_and_known_ones_are_not() -> None:
    servicer = ScriptedStats(accept)
    with structlog.testing.capture_logs() as lines:
        async with (
            served(servicer) as channel,
            recorder_of(channel, interval_seconds=NEVER, max_pending=10) as recorder,
        ):
            record_all(recorder, [*range(15), 3, 3])
            assert account(recorder) == {"served": 17, "recorded": 0, "pending": 12, "dropped": 5}

    [dropped] = (line for line in lines if line["event"] == "stats.dropped")
    assert (dropped["count"], "FIBONACCI_STATS_MAX_PENDING" in dropped["reason"]) == (5, True)
    assert account(recorder) == {"served": 17, "recorded": 12, "pending": 0, "dropped": 5}
    assert sum(record.count for batch in servicer.batches() for record in batch.records) == 12
