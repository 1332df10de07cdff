"""Watching over gRPC, from the first message to the end of the service."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration

from service_kit.admission import RETRY_DELAY_SECONDS
from service_kit.grpc_channel import open_channel
from service_kit.pb.stats import stats_pb2
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from stats_service.app import running
from tests.refusal import refusal_of
from tests.stats_service.conftest import settings_of
from tests.stats_service.messages import batch, record, total

if TYPE_CHECKING:
    from service_kit.pb.stats.stats_pb2_grpc import StatsAsyncStub

OFTEN = Duration(nanos=100_000_000)
SELDOM = Duration(seconds=60)


def watch(stub: "StatsAsyncStub", interval: Duration | None = OFTEN) -> Any:
    return stub.WatchStats(stats_pb2.WatchStatsRequest(interval=interval))


def indices(message: stats_pb2.WatchStatsResponse) -> list[int]:
    return [number.n for number in message.fibonacci_stats]


async def test_the_first_message_is_all_and_the_others_what_has_changed(stored_stub: "StatsAsyncStub") -> None:
    await stored_stub.RecordNo(batch(record(10), record(20)))
    watching = watch(stored_stub)

    first = await watching.read()
    assert (indices(first), first.total_requests, first.total_cache_hits, first.totals.numbers) == ([10, 20], 4, 2, 2)

    await stored_stub.RecordNo(batch(record(20), record(30), sequence=2))
    changed = await watching.read()
    assert (indices(changed), changed.total_requests) == ([20, 30], 8)
    assert [number.request_count for number in changed.fibonacci_stats] == [4, 2]
    watching.cancel()


async def test_only_a_change_is_told(stub: "StatsAsyncStub") -> None:
    watching = watch(stub)
    await watching.read()
    waiting = asyncio.ensure_future(watching.read())
    done, _ = await asyncio.wait([waiting], timeout=0.5)  # five intervals
    assert not done

    await stub.RecordNo(batch(record(10)))

    assert indices(await waiting) == [10]
    watching.cancel()


async def test_messages_are_an_interval_apart(stub: "StatsAsyncStub") -> None:
    began = time.monotonic()
    watching = watch(stub, Duration(nanos=300_000_000))
    await watching.read()
    told = []
    for sequence in range(1, 4):
        await stub.RecordNo(batch(record(10), sequence=sequence))
        await watching.read()
        told.append(time.monotonic() - began)
    watching.cancel()

    # However late each was read; less what the clocks differ by.
    assert all(seconds > 0.29 * number for number, seconds in enumerate(told, 1)), told


async def test_several_watch_at_once_and_all_are_told(stub: "StatsAsyncStub") -> None:
    watching = [watch(stub) for _ in range(20)]
    await asyncio.gather(*(each.read() for each in watching))

    await stub.RecordNo(batch(record(10)))

    assert [indices(await each.read()) for each in watching] == [[10]] * 20
    for each in watching:
        each.cancel()


@asynccontextmanager
async def served(**changes: Any) -> AsyncIterator["StatsAsyncStub"]:
    async with running(settings_of(**changes)) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield StatsStub(channel)


async def test_more_watchers_than_the_limit_are_refused() -> None:
    with structlog.testing.capture_logs() as lines:
        await refuse_the_third_watcher()

    assert [line["refused"] for line in lines if line["event"] == "overload.refused"] == ["watchers"]


async def refuse_the_third_watcher() -> None:
    async with served(max_watchers=2) as stub:
        watching = [watch(stub, SELDOM) for _ in range(2)]
        await asyncio.gather(*(each.read() for each in watching))

        refusal = await refusal_of(watch(stub).read())

        assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (refusal.reason, refusal.facts) == ("TOO_MANY_WATCHERS", {"limit": "2"})
        assert refusal.retry_delay_seconds == RETRY_DELAY_SECONDS
        assert await total(stub) == 0
        for each in watching:
            each.cancel()


async def test_a_watcher_that_goes_away_is_counted_no_more() -> None:
    async with served(max_watchers=1) as stub:
        for _ in range(5):
            watching = watch(stub, SELDOM)
            await accepted(watching, stub)
            watching.cancel()


async def accepted(watching: Any, stub: "StatsAsyncStub") -> None:
    """The first message; the service may need a moment to hear that the watcher before is gone."""
    async with asyncio.timeout(10):
        while True:
            try:
                await watching.read()
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # noqa: PT017 - any other is the fault
                watching = watch(stub, SELDOM)
            else:
                watching.cancel()
                return


async def test_a_service_that_stops_does_not_wait_for_those_who_watch() -> None:
    async with AsyncExitStack() as channels:
        async with running(settings_of(drain_timeout_seconds=30)) as port:
            channel = await channels.enter_async_context(open_channel(f"127.0.0.1:{port}"))
            watching = [watch(StatsStub(channel), SELDOM) for _ in range(10)]
            await asyncio.gather(*(each.read() for each in watching))
            started = time.monotonic()

        assert time.monotonic() - started < 5
        assert [await each.read() for each in watching] == [grpc.aio.EOF] * 10
        assert {await each.code() for each in watching} == {grpc.StatusCode.OK}
