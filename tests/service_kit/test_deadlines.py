"""Against a real server: what it knows of a call that its caller broke off."""

import asyncio

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2

from service_kit import logs
from service_kit.admission import Admission
from service_kit.interceptors import ServerInterceptor
from service_kit.logs import RequestLog
from tests.service_kit.small_service import SmallClient, served

DEADLINE_EXCEEDED, CANCELLED = grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED
GET_FIB, STREAM_RANGE = "fibonacci.Fibonacci/GetFib", "fibonacci.Fibonacci/StreamRange"
WATCH = "grpc.health.v1.Health/Watch"


async def hang_from_one_on(n: int) -> int:
    if n:
        await asyncio.Event().wait()
    return n


def interceptor() -> ServerInterceptor:
    return ServerInterceptor(
        status_table={}, request_log=RequestLog(policy="errors"), admission=Admission(max_calls=9, max_queued=0)
    )


async def until_seen(around: ServerInterceptor, method: str, code: grpc.StatusCode, client: SmallClient) -> None:
    """Waits until such a call has ended at the server."""
    async with asyncio.timeout(20):
        while not {(method, code.name)} & {*around.call_durations, *around.stream_durations}:
            await client.ask(0)


@pytest.mark.parametrize("seconds", [0.3, 1.001])  # gRPC sends 1.001 s as 1.01
async def test_a_call_whose_time_was_up_is_late_at_the_server_too(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(logs, "SLOW_REQUEST_SECONDS", 3600)
    around = interceptor()
    with structlog.testing.capture_logs() as lines:
        async with served(hang_from_one_on, interceptor=around) as client:
            await client.ask(0)  # connected, the next one is in time to begin at the server
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.ask(1, timeout=seconds)
            await until_seen(around, GET_FIB, DEADLINE_EXCEEDED, client)

    assert caught.value.code() is DEADLINE_EXCEEDED
    assert [line["code"] for line in lines if line["event"] == "rpc.served"] == ["DEADLINE_EXCEEDED"]


async def test_a_stream_whose_time_was_up_is_late() -> None:
    around = interceptor()
    async with served(hang_from_one_on, interceptor=around) as client:
        await client.ask(0)
        call = client.stream(0, 2, timeout=0.3)
        with pytest.raises(grpc.aio.AioRpcError):
            _ = [response async for response in call]
        await until_seen(around, STREAM_RANGE, DEADLINE_EXCEEDED, client)


async def test_a_method_of_grpcs_own_whose_time_was_up_is_late() -> None:
    around = interceptor()
    async with served(hang_from_one_on, interceptor=around) as client:
        await client.ask(0)
        watch = client.health.Watch(health_pb2.HealthCheckRequest(), timeout=0.3)
        assert await watch.code() is DEADLINE_EXCEEDED
        await until_seen(around, WATCH, DEADLINE_EXCEEDED, client)


@pytest.mark.parametrize("seconds", [None, 60.0])
async def test_a_call_that_its_caller_left_in_time_is_cancelled(seconds: float | None) -> None:
    begun = asyncio.Event()

    async def hang(n: int) -> int:
        if n:
            begun.set()
        return await hang_from_one_on(n)

    around = interceptor()
    async with served(hang, interceptor=around) as client:
        call = asyncio.create_task(client.ask(1, timeout=seconds))
        await begun.wait()
        call.cancel()
        await until_seen(around, GET_FIB, CANCELLED, client)

    assert (GET_FIB, "DEADLINE_EXCEEDED") not in around.call_durations
