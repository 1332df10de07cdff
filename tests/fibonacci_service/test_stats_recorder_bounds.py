"""StatsRecorder while sending is held up: minutes, and the bound of what waits."""

import asyncio
import time
from typing import Any

import pytest
import structlog

from fibonacci_service import stats_recorder
from fibonacci_service.observations import Failure, FailureKind, Operation
from service_kit.grpc_channel import open_channel
from service_kit.pb.stats import stats_pb2
from tests.fibonacci_service.recording import NEVER, SetClock, account, record_all, recorder_of, shape
from tests.fibonacci_service.scripted_stats import Gate, ScriptedStats, accept, served

#: The beginning of a minute.
MINUTE = 1_000_020


def span(batch: stats_pb2.RecordRequest) -> tuple[int, int]:
    """The seconds of a minute in which a batch began and ended, the minutes counted on."""
    return batch.start_time.seconds - MINUTE, batch.end_time.seconds - MINUTE


async def test_a_batch_says_when_what_it_tells_of_began_and_ended() -> None:
    clock, servicer = SetClock(MINUTE + 1), ScriptedStats(accept)
    async with served(servicer) as channel, recorder_of(channel, clock=clock, interval_seconds=NEVER) as recorder:
        record_all(recorder, [10])
        clock.now += 3.5

    [batch] = servicer.applied
    assert (batch.start_time.ToMilliseconds(), batch.end_time.ToMilliseconds()) == (1_000_021_000, 1_000_024_500)


async def test_an_idle_time_is_not_part_of_the_batch_after_it() -> None:
    clock, servicer = SetClock(MINUTE), ScriptedStats(accept)
    async with served(servicer) as channel, recorder_of(channel, clock=clock) as recorder:
        clock.now += 3_000
        await clock.read()
        record_all(recorder, [10])
        await servicer.next_batch()

    assert span(servicer.applied[0]) == (3_000, 3_000)


async def test_while_sending_is_held_up_each_minute_has_a_batch_of_its_own() -> None:
    clock, gate = SetClock(MINUTE), Gate()
    servicer = ScriptedStats(gate)
    async with served(servicer) as channel, recorder_of(channel, clock=clock) as recorder:
        record_all(recorder, [1])
        await servicer.next_batch()
        for n in (2, 3, 4):
            record_all(recorder, [n, 7])
            await clock.read()  # a minute that is not over closes nothing
            record_all(recorder, [n])
            clock.now += 60
            await clock.read()
        record_all(recorder, [5])
        assert account(recorder) == {"served": 11, "recorded": 0, "pending": 11, "dropped": 0}
        assert servicer.batches() == []
        gate.open()

    assert [shape(batch) for batch in servicer.applied] == [
        (1, {1: 1}),
        (2, {2: 2, 7: 1}),
        (3, {3: 2, 7: 1}),
        (4, {4: 2, 7: 1}),
        (5, {5: 1}),
    ]
    assert list(map(span, servicer.applied)) == [(0, 0), (0, 60), (60, 120), (120, 180), (180, 180)]
    assert recorder.recorded == servicer.counted == 11


async def test_from_half_of_the_room_on_one_batch_goes_on_over_the_minutes() -> None:
    clock, gate = SetClock(MINUTE), Gate()
    servicer = ScriptedStats(gate)
    async with served(servicer) as channel, recorder_of(channel, clock=clock, max_pending=6) as recorder:
        record_all(recorder, [1])
        await servicer.next_batch()
        record_all(recorder, [2])
        clock.now += 60
        await clock.read()
        for _ in range(5):
            record_all(recorder, [2, 3])
            clock.now += 60
            await clock.read()
        gate.open()

    assert [shape(batch) for batch in servicer.applied] == [(1, {1: 1}), (2, {2: 1}), (3, {2: 5, 3: 5})]
    assert list(map(span, servicer.applied)) == [(0, 0), (0, 60), (60, 360)]
    assert account(recorder) == {"served": 12, "recorded": 12, "pending": 0, "dropped": 0}


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
    assert servicer.counted == 12


async def test_what_is_dropped_in_an_outage_is_told_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats_recorder, "DROPPED_LOG_SECONDS", 0.3)

    def events(lines: list[Any]) -> list[Any]:
        return [line for line in lines if line["event"] == "stats.dropped"]

    async def told(count: int) -> list[Any]:
        async with asyncio.timeout(10):
            while len(dropped := events(lines)) < count:  # noqa: ASYNC110 - nothing else tells of it
                await asyncio.sleep(0.01)
        return dropped

    with structlog.testing.capture_logs() as lines:
        async with (
            open_channel("127.0.0.1:1") as channel,
            recorder_of(channel, flush_seconds=0.1, max_pending=10) as recorder,
        ):
            began = time.monotonic()  # no later than the first line
            record_all(recorder, range(15))
            await told(1)
            record_all(recorder, [15, 16])
            dropped = await told(2)
            assert time.monotonic() - began > 0.2

    assert [(line["count"], line["total_dropped"]) for line in dropped] == [(5, 5), (2, 7)]


async def test_the_bound_holds_over_the_open_and_the_closed_together() -> None:
    clock, gate = SetClock(MINUTE), Gate()
    servicer = ScriptedStats(gate)
    async with served(servicer) as channel, recorder_of(channel, clock=clock, max_pending=10) as recorder:
        record_all(recorder, [1, 2])
        await servicer.next_batch()
        record_all(recorder, [1, 2])
        clock.now += 60
        await clock.read()
        record_all(recorder, range(20))
        assert account(recorder) == {"served": 24, "recorded": 0, "pending": 10, "dropped": 14}
        gate.open()

    assert [shape(batch)[1] for batch in servicer.applied] == [{1: 1, 2: 1}, {1: 1, 2: 1}, dict.fromkeys(range(6), 1)]
    assert account(recorder) == {"served": 24, "recorded": 10, "pending": 0, "dropped": 14}


async def test_failures_take_room_as_answers_do_and_an_operation_always_finds_some() -> None:
    servicer = ScriptedStats(accept)
    with structlog.testing.capture_logs() as lines:
        async with served(servicer) as channel, recorder_of(channel, interval_seconds=NEVER, max_pending=3) as recorder:
            for n in (1, 2, 3, 4, 3):
                recorder.record_failure(Failure(n, FailureKind.CANCELLED))
            recorder.record_operation(Operation.RANGE)
            record_all(recorder, [10, 10])

    [batch] = servicer.applied
    assert [(error.n, error.count) for error in batch.errors] == [(1, 1), (2, 1), (3, 2)]
    assert [operation.count for operation in batch.operations] == [1]
    assert account(recorder) == {"served": 2, "recorded": 0, "pending": 0, "dropped": 2}
    [dropped] = (line for line in lines if line["event"] == "stats.dropped")
    assert (dropped["count"], dropped["failures"]) == (2, 1)


async def test_what_was_answered_makes_room_again() -> None:
    servicer = ScriptedStats(accept)
    async with served(servicer) as channel, recorder_of(channel, max_pending=10) as recorder:
        for first in range(0, 50, 5):
            record_all(recorder, range(first, first + 5))
            await servicer.next_batch()  # it may still be on its way, the one before it is not

    assert account(recorder) == {"served": 50, "recorded": 50, "pending": 0, "dropped": 0}
