import os
from contextlib import AsyncExitStack
from functools import partial

import pytest
import structlog
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

import fibonacci_service.app
import stats_service.app
import stats_service.settings
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci import fib_pb2
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from tests.fibonacci_service.conftest import settings_of
from tests.fibonacci_service.scripted_stats import ScriptedStats, accept, listening
from tests.refusal import refusal_of


async def test_every_answer_and_no_refusal_is_in_the_account_once_it_was_left() -> None:
    stats_settings = stats_service.settings.Settings(listen_port=0, drain_delay_seconds=0, database_url="memory:")
    async with AsyncExitStack() as stack:
        stats_port = await stack.enter_async_context(stats_service.app.running(stats_settings))
        channel = await stack.enter_async_context(open_channel(f"127.0.0.1:{stats_port}"))
        with structlog.testing.capture_logs() as lines:
            await ask_six_and_leave(stats_target=f"127.0.0.1:{stats_port}")
        summary = await StatsStub(channel).GetStats(Empty())

    assert (summary.total_requests, summary.total_cache_hits) == (5, 3)
    assert [(stat.n, stat.request_count) for stat in summary.fibonacci_stats] == [(10, 4), (20, 1)]
    [flushed] = (line for line in lines if line["event"] == "stats.flushed")
    assert (flushed["served"], flushed["recorded"], flushed["dropped"]) == (5, 5, 0)


async def ask_six_and_leave(*, stats_target: str) -> None:
    """F(10) alone, then in a batch four answers and one refusal; only leaving sends the records."""
    settings = settings_of(stats_target=stats_target, stats_flush_seconds=30, stats_interval_seconds=60)
    async with fibonacci_service.app.running(settings) as port, open_channel(f"127.0.0.1:{port}") as channel:
        stub = FibonacciStub(channel)
        await stub.GetFib(fib_pb2.FibonacciRequest(n=10))
        items = [fib_pb2.BatchGetFibItem(request=fib_pb2.FibonacciRequest(n=n)) for n in (10, 10, -1, 20, 10)]
        await stub.BatchGetFib(fib_pb2.BatchGetFibRequest(items=items))


async def test_answers_do_not_wait_for_a_stats_service_that_is_away() -> None:
    async with fibonacci_service.app.running(settings_of()) as port, open_channel(f"127.0.0.1:{port}") as channel:
        answer = await FibonacciStub(channel).GetFib(fib_pb2.FibonacciRequest(n=10), timeout=30)

    assert answer.x == 55


async def test_the_cache_is_as_large_as_the_setting_says() -> None:
    with structlog.testing.capture_logs() as lines:
        async with fibonacci_service.app.running(settings_of(cache_bytes=0, log_requests="all")) as port:
            await ask_twice(port)

    assert [line["cached"] for line in lines if line["event"] == "rpc.served"] == [False, False]


async def ask_twice(port: int) -> None:
    async with open_channel(f"127.0.0.1:{port}") as channel:
        for _ in range(2):
            await FibonacciStub(channel).GetFib(fib_pb2.FibonacciRequest(n=10))


async def test_the_limit_is_the_one_the_setting_says() -> None:
    async with (
        fibonacci_service.app.running(settings_of(max_n=150)) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = FibonacciStub(channel)
        await stub.GetFib(fib_pb2.FibonacciRequest(n=150, encoding=fib_pb2.DECIMAL))
        refusal = await refusal_of(stub.GetFib(fib_pb2.FibonacciRequest(n=151, encoding=fib_pb2.DECIMAL)))

    assert refusal.facts == {"n": "151", "limit": "150"}


@pytest.mark.parametrize(("workers", "size"), [(3, 3), (0, os.cpu_count())])
def test_there_are_as_many_workers_as_the_setting_says_or_processors(workers: int, size: int) -> None:
    assert fibonacci_service.app._workers(settings_of(workers=workers)).size == size


async def test_the_limit_of_ranges_is_one_of_their_own() -> None:
    async with (
        fibonacci_service.app.running(settings_of(max_n=150, range_max_n=100)) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        call = FibonacciStub(channel).StreamRange(fib_pb2.StreamRangeRequest(start=100, count=2))
        refusal = await refusal_of(call.read())

    assert (refusal.field, refusal.facts["limit"]) == ("count", "100")


async def test_records_go_on_to_a_stats_service_that_says_that_it_is_not_serving() -> None:
    """As one does that drains: it has time for what a fibonacci_service that stops with it has left to tell."""
    health_servicer, stats = health.aio.HealthServicer(), ScriptedStats(accept)
    await health_servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    add_health = partial(health_pb2_grpc.add_HealthServicer_to_server, health_servicer)
    async with listening(stats, "127.0.0.1:0", add=add_health) as stats_port:
        settings = settings_of(stats_target=f"127.0.0.1:{stats_port}", stats_flush_seconds=30)
        async with fibonacci_service.app.running(settings) as port, open_channel(f"127.0.0.1:{port}") as channel:
            await FibonacciStub(channel).GetFib(fib_pb2.FibonacciRequest(n=10))

    assert stats.counted == 1
