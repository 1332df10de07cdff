"""Faults in the real service, over real gRPC; the counts are those of the seeds."""

import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import structlog
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

import stats_service.app
import stats_service.settings
from fibonacci_service.app import fault_interceptors, running
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci import fib_pb2
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from tests.fibonacci_service.conftest import settings_of
from tests.refusal import Refusal, refusal_of

if TYPE_CHECKING:
    from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciAsyncStub

INTERNAL, UNAVAILABLE = grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE
TEN = fib_pb2.FibonacciRequest(n=10)


@asynccontextmanager
async def faulty(**settings: Any) -> AsyncIterator["FibonacciAsyncStub"]:
    async with running(settings_of(**settings)) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield FibonacciStub(channel)


async def outcome(call: Any) -> str:
    """The name of the status that a call ended with."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def answer_to_batch(call: Any) -> None:
    await call.write(fib_pb2.ExchangeFibRequest(n=[10], encodings=[fib_pb2.DECIMAL]))
    assert (await call.read()).values == [b"55"]


async def exchanged(stub: "FibonacciAsyncStub") -> None:
    """One batch over a call of its own."""
    await answer_to_batch(stub.ExchangeFib())


async def streamed(stub: "FibonacciAsyncStub") -> None:
    call = stub.StreamFib(fib_pb2.StreamFibRequest(n=10, encoding=fib_pb2.DECIMAL))
    assert [piece.data async for piece in call] == [b"55"]


async def served(stub: "FibonacciAsyncStub") -> int:
    return (await stub.GetRecorder(Empty())).served


def test_without_a_probability_nothing_stands_before_the_servicer() -> None:
    assert fault_interceptors(settings_of(fault_seed=1, fault_error_status="INTERNAL")) == []


async def test_the_start_says_that_faults_are_injected() -> None:
    with structlog.testing.capture_logs() as lines:
        async with faulty(fault_abort_probability=0.5, fault_seed=9):
            pass
        async with faulty():
            pass

    assert [line["seed"] for line in lines if line["event"] == "faults.enabled"] == [9]


async def test_calls_fail_as_often_as_the_probabilities_say_and_only_the_answered_are_counted() -> None:
    rates = {"fault_error_probability": 0.3, "fault_abort_probability": 0.2}
    async with faulty(**rates, fault_error_status="INTERNAL", fault_seed=1) as stub:
        outcomes = Counter([await outcome(stub.GetFib(TEN)) for _ in range(200)])
        counted = await served(stub)

    assert outcomes == {"OK": 102, "INTERNAL": 64, "UNAVAILABLE": 34}
    assert counted == outcomes["OK"]


async def test_each_batch_of_an_exchange_has_a_chance_of_its_own() -> None:
    async with faulty(fault_error_probability=0.1, fault_seed=1) as stub:
        assert [await answered_before_it_fails(stub.ExchangeFib()) for _ in range(3)] == [4, 1, 2]
        assert await served(stub) == 7


async def answered_before_it_fails(call: Any) -> int:
    """How many batches are answered on one call."""
    answered = 0
    while (ending := await outcome(answer_to_batch(call))) == "OK":
        answered += 1
    assert ending == "UNAVAILABLE"
    return answered


@pytest.mark.parametrize("ask", [exchanged, streamed])
async def test_a_stream_is_hit_too(ask: Any) -> None:
    async with faulty(fault_error_probability=1, fault_error_status="DATA_LOSS") as stub:
        assert await outcome(ask(stub)) == "DATA_LOSS"
    async with faulty(fault_delay_probability=1, fault_delay_seconds=0.001) as stub:
        assert await outcome(ask(stub)) == "OK"


async def test_an_injected_failure_says_that_it_is_one() -> None:
    async with faulty(fault_error_probability=1, fault_error_status="INTERNAL") as stub:
        error = await refusal_of(stub.GetFib(TEN))
    async with faulty(fault_abort_probability=1, fault_error_status="INTERNAL") as stub:
        abort = await refusal_of(stub.GetFib(TEN))

    assert error == Refusal(INTERNAL, "this error was injected", "FAULT_ERROR", "", {})
    assert abort == Refusal(UNAVAILABLE, "this abort was injected", "FAULT_ABORT", "", {})


async def test_a_fault_is_in_the_line_of_its_call_whatever_the_policy() -> None:
    with structlog.testing.capture_logs() as lines:
        async with faulty(fault_delay_probability=1, fault_delay_seconds=0.001) as stub:
            await stub.GetFib(TEN)
        async with faulty(fault_error_probability=1, fault_error_status="NOT_FOUND") as stub:
            await outcome(stub.GetFib(TEN))

    told = [(line["code"], line["fault"]) for line in lines if line["event"] == "rpc.served"]
    assert told == [("OK", "delay"), ("NOT_FOUND", "error")]
    assert "rpc.crashed" not in {line["event"] for line in lines}


async def test_a_delay_is_not_in_the_time_that_is_recorded() -> None:
    stats_settings = stats_service.settings.Settings(listen_port=0, drain_delay_seconds=0, database_url="memory:")
    async with stats_service.app.running(stats_settings) as stats_port:
        target = f"127.0.0.1:{stats_port}"
        started = time.monotonic()
        async with faulty(
            fault_delay_probability=1, fault_delay_seconds=0.5, stats_target=target, stats_flush_seconds=30
        ) as stub:
            await stub.GetFib(TEN)
            await exchanged(stub)
        seconds = time.monotonic() - started
        async with open_channel(target) as channel:
            [stat] = (await StatsStub(channel).GetStats(Empty())).fibonacci_stats

    assert seconds >= 1
    assert stat.request_count == 2
    assert 0 < stat.average_time_ms < 500


async def test_health_and_the_account_are_spared() -> None:
    async with (
        running(settings_of(fault_abort_probability=1)) as port,
        open_channel(f"127.0.0.1:{port}", leave_out_not_serving=False) as channel,
    ):
        health = await HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        counted = await served(FibonacciStub(channel))

    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert counted == 0


async def test_no_metadata_turns_faults_on() -> None:
    asked = (("x-envoy-fault-abort-grpc-request", "13"), ("x-envoy-fault-delay-request", "5000"), ("fault", "error"))
    with structlog.testing.capture_logs() as lines:
        async with faulty(log_requests="all") as stub:
            assert (await stub.GetFib(TEN, metadata=asked)).x == 55

    assert all("fault" not in line for line in lines)
