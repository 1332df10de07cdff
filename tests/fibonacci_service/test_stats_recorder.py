import time
from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from fibonacci_service.observations import Failure, FailureKind, Operation
from service_kit.grpc_channel import open_channel
from service_kit.pb.stats import stats_pb2
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from stats_service.app import running
from stats_service.settings import Settings
from tests.fibonacci_service.recording import NEVER, account, answered, record_all, recorder_of, shape
from tests.fibonacci_service.scripted_stats import Gate, ScriptedStats, accept, served


@pytest.fixture
async def stats() -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the real service, which keeps its account in memory."""
    settings = Settings(listen_port=0, drain_delay_seconds=0, database_url="memory:")
    async with running(settings) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield channel


async def test_what_was_answered_reaches_the_real_service(stats: grpc.aio.Channel) -> None:
    async with recorder_of(stats) as recorder:
        recorder.record(answered(10, 2_000_000))
        recorder.record(answered(10, 1_000_000, origin="cache"))
        recorder.record(answered(10, 6_000_000, origin="cache"))
        recorder.record(answered(20, 500_000, origin="coalesced"))
        recorder.record_failure(Failure(10, FailureKind.CANCELLED))
        recorder.record_operation(Operation.RANGE)

    summary = await StatsStub(stats).GetStats(Empty())
    assert account(recorder) == {"served": 4, "recorded": 4, "pending": 0, "dropped": 0}
    assert (summary.total_requests, summary.total_cache_hits) == (4, 2)
    busiest = summary.fibonacci_stats[0]
    assert (busiest.n, busiest.request_count, busiest.cache_hits) == (10, 3, 2)
    assert (busiest.average_time_ms, busiest.min_time_ms, busiest.max_time_ms) == (3, 1, 6)
    assert (busiest.errors[0].kind, busiest.errors[0].count) == (stats_pb2.CANCELLED, 1)
    assert busiest.p99_time_ms == pytest.approx(6, rel=1 / 16)
    assert summary.totals.all.coalesced == 1
    assert [(used.operation, used.count) for used in summary.totals.operations] == [(stats_pb2.RANGE, 1)]


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


async def test_the_next_batch_waits_for_its_time_however_soon_the_last_was_acknowledged() -> None:
    servicer = ScriptedStats(accept)
    async with served(servicer) as channel, recorder_of(channel, interval_seconds=0.1) as recorder:
        started = time.monotonic()
        for n in range(3):
            recorder.record(answered(n))
            await servicer.next_batch()

    assert time.monotonic() - started > 0.25  # three intervals, but for the precision of the clocks


async def test_failures_and_operations_travel_in_the_batch_of_the_answers() -> None:
    servicer = ScriptedStats(accept)
    async with served(servicer) as channel, recorder_of(channel, interval_seconds=NEVER) as recorder:
        recorder.record(answered(10, 1_000, origin="coalesced"))
        for n, kind in ((20, FailureKind.CANCELLED), (10, FailureKind.INTERNAL), (20, FailureKind.CANCELLED)):
            recorder.record_failure(Failure(n, kind))
        for operation in (Operation.RESIDUE, Operation.RANGE, Operation.RESIDUE):
            recorder.record_operation(operation)

    [batch] = servicer.applied
    assert [(record.n, record.coalesced, [*record.buckets]) for record in batch.records] == [(10, 1, [63])]
    errors = [(error.n, error.kind, error.count) for error in batch.errors]
    assert errors == [(10, stats_pb2.INTERNAL, 1), (20, stats_pb2.CANCELLED, 2)]
    operations = [(operation.operation, operation.count) for operation in batch.operations]
    assert operations == [(stats_pb2.RANGE, 1), (stats_pb2.RESIDUE, 2)]
    assert account(recorder) == {"served": 1, "recorded": 1, "pending": 0, "dropped": 0}


async def test_a_failure_or_an_operation_alone_is_sent_and_is_no_answer() -> None:
    servicer = ScriptedStats(accept)
    async with served(servicer) as channel, recorder_of(channel) as recorder:
        recorder.record_failure(Failure(10, FailureKind.WORKERS_BUSY))
        first = await servicer.next_batch()
        recorder.record_operation(Operation.DESCRIPTION)
        second = await servicer.next_batch()

    assert [(len(batch.records), len(batch.errors)) for batch in (first, second)] == [(0, 1), (0, 0)]
    assert [operation.operation for operation in second.operations] == [stats_pb2.DESCRIPTION]
    assert account(recorder) == {"served": 0, "recorded": 0, "pending": 0, "dropped": 0}


async def test_served_is_recorded_and_pending_and_dropped_at_every_step() -> None:
    gate = Gate()
    servicer = ScriptedStats(gate)
    async with served(servicer) as channel:
        async with recorder_of(channel, max_pending=3) as recorder:
            record_all(recorder, [1, 1, 2])
            assert account(recorder) == {"served": 3, "recorded": 0, "pending": 3, "dropped": 0}
            await servicer.next_batch()
            record_all(recorder, [1, 1, 5])
            assert account(recorder) == {"served": 6, "recorded": 0, "pending": 5, "dropped": 1}
            gate.open()
            assert shape(await servicer.next_batch()) == (2, {1: 2})
            assert recorder.recorded >= 3
            assert recorder.recorded + recorder.pending == 5
        assert account(recorder) == {"served": 6, "recorded": 5, "pending": 0, "dropped": 1}
    assert servicer.counted == 5
