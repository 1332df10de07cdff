"""StatsRecorder where stats_service is away, hung, forgetful or unwilling."""

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog

from fibonacci_service.observations import Failure, FailureKind, Operation
from fibonacci_service.stats_sender import StatsSender
from service_kit.grpc_channel import open_channel
from service_kit.pb.stats import stats_pb2
from tests.fibonacci_service.recording import NEVER, account, record_all, recorder_of, shape
from tests.fibonacci_service.scripted_stats import Gate, ScriptedStats, accept, hang, listening, served


async def channel_failed(channel: grpc.aio.Channel) -> None:
    async with asyncio.timeout(30):
        while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            await channel.wait_for_state_change(state)


async def unconnected(lines: list[Any]) -> None:
    """Returns once the log says that there was no connection for as long as an attempt may take."""
    async with asyncio.timeout(30):
        told = {"event": "stats.unreachable", "target": "the stats", "error": "not connected"}
        while not any(told.items() <= line.items() for line in lines):  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(0.01)


async def test_a_batch_whose_answer_was_lost_is_sent_again_and_counted_once() -> None:
    class LosesTwoAnswers(ScriptedStats):
        lost = 0

        async def RecordNo(self, request: stats_pb2.RecordRequest, context: Any) -> stats_pb2.RecordResponse:
            answer = await super().RecordNo(request, context)
            if self.lost < 2:
                self.lost += 1
                await context.abort(grpc.StatusCode.UNAVAILABLE, "applied, but nobody heard")
            return answer

    servicer = LosesTwoAnswers(accept)
    async with served(servicer) as channel, recorder_of(channel) as recorder:
        record_all(recorder, [10, 10, 20])

    assert servicer.lost == 2
    assert account(recorder) == {"served": 3, "recorded": 3, "pending": 0, "dropped": 0}
    assert servicer.counted == 3


async def test_a_batch_that_is_not_answered_in_time_is_sent_again_unchanged() -> None:
    gate = Gate()
    servicer = ScriptedStats(gate)
    async with served(servicer) as channel, recorder_of(channel, deadline_seconds=0.1) as recorder:
        record_all(recorder, [10, 20])
        first = await servicer.next_batch()
        record_all(recorder, [10, 30])
        second = await servicer.next_batch()
        gate.open()

        assert first == second
    assert account(recorder) == {"served": 4, "recorded": 4, "pending": 0, "dropped": 0}


async def test_without_any_service_answers_wait_and_are_dropped_at_the_end() -> None:
    async with open_channel("127.0.0.1:1") as channel:
        with structlog.testing.capture_logs() as lines:
            async with recorder_of(channel, flush_seconds=0.1) as recorder:
                record_all(recorder, [10, 10, 20])
                assert account(recorder) == {"served": 3, "recorded": 0, "pending": 3, "dropped": 0}
                left = time.monotonic()
            seconds = time.monotonic() - left

    assert 0.05 < seconds < 10
    assert account(recorder) == {"served": 3, "recorded": 0, "pending": 0, "dropped": 3}
    assert [line["count"] for line in lines if line["event"] == "stats.dropped"] == [3]
    [flushed] = (line for line in lines if line["event"] == "stats.flushed")
    assert (flushed["served"], flushed["recorded"], flushed["dropped"]) == (3, 0, 3)


async def test_a_service_that_starts_later_gets_everything_for_no_batch_ages_without_a_connection() -> None:
    servicer = ScriptedStats(accept)
    with tempfile.TemporaryDirectory() as folder, structlog.testing.capture_logs() as lines:
        address = f"unix:{Path(folder) / 'stats'}"
        async with (
            open_channel(address) as channel,
            AsyncExitStack() as later,
            recorder_of(channel, deadline_seconds=1.5, max_batch_age_seconds=0.05) as recorder,
        ):
            record_all(recorder, [10, 20])
            await channel_failed(channel)
            await unconnected(lines)  # for longer than an attempt may take, and a batch that is being sent may live
            record_all(recorder, [10, 30])
            assert (recorder.recorded, recorder.pending) == (0, 4)
            await later.enter_async_context(listening(servicer, address))

    assert recorder.recorded == servicer.counted == 4


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.UNIMPLEMENTED]
)
async def test_a_batch_that_is_refused_for_good_is_dropped_and_the_next_is_sent(code: grpc.StatusCode) -> None:
    async def refuse_the_first(request: stats_pb2.RecordRequest, context: Any) -> None:
        if request.sequence == 1:
            await context.abort(code, "never")

    servicer = ScriptedStats(refuse_the_first)
    with structlog.testing.capture_logs() as lines:
        async with served(servicer) as channel, recorder_of(channel) as recorder:
            record_all(recorder, [10, 10])
            await servicer.next_batch()
            record_all(recorder, [20])

    assert shape(servicer.batches()[-1]) == (2, {20: 1})
    assert account(recorder) == {"served": 3, "recorded": 1, "pending": 0, "dropped": 2}
    [dropped] = (line for line in lines if line["event"] == "stats.dropped")
    assert (dropped["count"], dropped["reason"]) == (2, f"{code.name}: never")


async def test_a_batch_that_fails_otherwise_is_sent_again_and_the_outage_is_logged_once() -> None:
    codes = [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.RESOURCE_EXHAUSTED]

    async def fail_at_first(_request: stats_pb2.RecordRequest, context: Any) -> None:
        if codes:
            await context.abort(codes.pop(0), "not now")

    servicer = ScriptedStats(fail_at_first)
    with structlog.testing.capture_logs() as lines:
        async with served(servicer) as channel, recorder_of(channel, interval_seconds=NEVER) as recorder:
            record_all(recorder, [10])

    assert [shape(batch) for batch in servicer.batches()] == [(1, {10: 1})] * 4
    [told] = (line for line in lines if line["event"] == "stats.unreachable")
    assert (told["target"], told["error"]) == ("the stats", "INTERNAL")
    assert account(recorder) == {"served": 1, "recorded": 1, "pending": 0, "dropped": 0}


async def test_a_batch_that_grew_too_old_is_dropped_and_the_next_is_sent() -> None:
    async def never_the_first(request: stats_pb2.RecordRequest, context: Any) -> None:
        if request.sequence == 1:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "down")

    servicer = ScriptedStats(never_the_first)
    async with served(servicer) as channel, recorder_of(channel, max_batch_age_seconds=0.05) as recorder:
        record_all(recorder, [10, 10])
        await servicer.next_batch()
        record_all(recorder, [20])

    assert shape(servicer.batches()[-1]) == (2, {20: 1})
    assert account(recorder) == {"served": 3, "recorded": 1, "pending": 0, "dropped": 2}


async def test_a_hung_service_keeps_the_end_waiting_no_longer_than_the_flush_time() -> None:
    servicer = ScriptedStats(hang)
    async with served(servicer) as channel:
        async with recorder_of(channel, flush_seconds=0.1) as recorder:
            record_all(recorder, [10, 20])
            await servicer.next_batch()
            record_all(recorder, [30])
            left = time.monotonic()
        seconds = time.monotonic() - left

    assert 0.05 < seconds < 10
    assert account(recorder) == {"served": 3, "recorded": 0, "pending": 0, "dropped": 3}


async def test_a_task_that_crashes_starts_again_with_the_same_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    class CrashesOnce(StatsSender):
        crashed = False

        async def send(self, batch: stats_pb2.RecordRequest) -> None:
            if not self.crashed:
                self.crashed = True
                raise ZeroDivisionError
            await super().send(batch)

    monkeypatch.setattr("fibonacci_service.stats_recorder.StatsSender", CrashesOnce)
    monkeypatch.setattr("service_kit.lifecycle.RESTART_DELAY_SECONDS", 0)
    servicer = ScriptedStats(accept)
    with structlog.testing.capture_logs() as lines:
        async with served(servicer) as channel, recorder_of(channel) as recorder:
            record_all(recorder, [10, 10])
            assert shape(await servicer.next_batch()) == (1, {10: 2})

    assert [line["task"] for line in lines if line["event"] == "task.crashed"] == ["send_stats"]
    assert account(recorder) == {"served": 2, "recorded": 2, "pending": 0, "dropped": 0}


async def want_records(request: stats_pb2.RecordRequest, context: Any) -> None:
    """The script of a stats_service of before there were errors and operations, and of these it takes no notice."""
    if not request.records:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "records must be 1 to 1000, not 0")


async def test_before_an_old_service_no_answer_is_lost_and_what_it_does_not_know_is_logged_once() -> None:
    servicer = ScriptedStats(want_records)
    with structlog.testing.capture_logs() as lines:
        async with served(servicer) as channel, recorder_of(channel) as recorder:
            for n in range(3):
                recorder.record_failure(Failure(n, FailureKind.CANCELLED))
                await servicer.next_batch()
                recorder.record_operation(Operation.RANGE)
                await servicer.next_batch()
                recorder.record_failure(Failure(n, FailureKind.CANCELLED))
                record_all(recorder, [n, n])

    assert account(recorder) == {"served": 6, "recorded": 6, "pending": 0, "dropped": 0}
    assert servicer.counted == 6
    [refusal] = (line for line in lines if line["log_level"] == "warning")
    assert (refusal["event"], refusal["entries"]) == ("stats.recordless_dropped", 1)
    assert refusal["reason"] == "INVALID_ARGUMENT: records must be 1 to 1000, not 0"


async def test_of_no_answer_at_all_there_is_nothing_to_say_at_the_end() -> None:
    with structlog.testing.capture_logs() as lines:
        async with open_channel("127.0.0.1:1") as channel, recorder_of(channel):
            pass

    assert lines == []
