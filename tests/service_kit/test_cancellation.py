"""Against a real server: what it knows of a call that was cancelled."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2

from service_kit import logs
from service_kit.admission import Admission
from service_kit.cancellation import code_of_cancelled
from service_kit.interceptors import ServerInterceptor
from service_kit.logs import RequestLog
from tests.service_kit.small_service import served

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


def seen(around: ServerInterceptor, method: str, code: grpc.StatusCode) -> bool:
    """Whether such a call has ended at the server."""
    return bool({(method, code.name)} & {*around.call_durations, *around.stream_durations})


async def late(around: ServerInterceptor, method: str, call: Callable[[], Awaitable[grpc.StatusCode]]) -> None:
    """Calls until the server has seen one whose time was up: of one that is long on its way it knows no better."""
    async with asyncio.timeout(30):
        while not seen(around, method, DEADLINE_EXCEEDED):
            assert await call() is DEADLINE_EXCEEDED


class CancelledCall:
    """As much of a call's context as is asked."""

    def __init__(self, remaining: float | None) -> None:
        self._remaining = remaining

    def time_remaining(self) -> float | None:
        return self._remaining


@pytest.mark.parametrize(
    ("lasted_seconds", "remaining", "code"),
    [
        (0.3, 0.0, DEADLINE_EXCEEDED),
        (0.3, 0.009, DEADLINE_EXCEEDED),
        (0.3, 0.02, CANCELLED),
        (29.9, 0.1, DEADLINE_EXCEEDED),  # gRPC sends 29.91 s as 30 s
        (29.9, 0.4, CANCELLED),
        (29.9, None, CANCELLED),
    ],
)
def test_a_caller_may_give_up_a_little_before_the_time_that_the_server_knows(
    lasted_seconds: float, remaining: float | None, code: grpc.StatusCode
) -> None:
    context: Any = CancelledCall(remaining)

    assert code_of_cancelled(context, lasted_seconds) is code


async def test_a_call_whose_time_was_up_is_late_at_the_server_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "SLOW_REQUEST_SECONDS", 3600)
    around = interceptor()
    with structlog.testing.capture_logs() as lines:
        async with served(hang_from_one_on, interceptor=around) as client:
            await client.ask(0)  # connected, the next one is in time to begin at the server

            async def call() -> grpc.StatusCode:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await client.ask(1, timeout=0.3)
                return caught.value.code()

            await late(around, GET_FIB, call)

    assert {line["code"] for line in lines if line["event"] == "rpc.served"} == {"DEADLINE_EXCEEDED"}


async def test_a_stream_whose_time_was_up_is_late() -> None:
    around = interceptor()
    async with served(hang_from_one_on, interceptor=around) as client:
        await client.ask(0)
        await late(around, STREAM_RANGE, lambda: client.stream(1, 1, timeout=0.3).code())


async def test_a_method_of_grpcs_own_whose_time_was_up_is_late() -> None:
    around = interceptor()
    async with served(hang_from_one_on, interceptor=around) as client:
        await client.ask(0)
        await late(around, WATCH, lambda: client.health.Watch(health_pb2.HealthCheckRequest(), timeout=0.3).code())


@pytest.mark.parametrize("seconds", [None, 60.0])
async def test_a_call_that_its_caller_left_in_time_is_cancelled(seconds: float | None) -> None:
    begun = asyncio.Event()

    async def hang(n: int) -> int:
        if n:
            begun.set()
        return await hang_from_one_on(n)

    around = interceptor()
    async with served(hang, interceptor=around) as client, asyncio.timeout(30):
        call = asyncio.create_task(client.ask(1, timeout=seconds))
        await begun.wait()
        call.cancel()
        while not seen(around, GET_FIB, CANCELLED):
            await client.ask(0)

    assert not seen(around, GET_FIB, DEADLINE_EXCEEDED)
