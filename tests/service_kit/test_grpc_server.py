import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from service_kit.grpc_channel import open_channel
from service_kit.lifecycle import CannotStart
from tests.refusal import refusal_of
from tests.service_kit.small_service import NAME, SmallClient, careless_client_of, client_of, double, listening, served

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Held:
    """Doubles 0 at once, and any other number once it is released."""

    def __init__(self) -> None:
        self.started, self.release = asyncio.Event(), asyncio.Event()

    async def __call__(self, n: int) -> int:
        if n:
            self.started.set()
            await self.release.wait()
        return await double(n)


async def first_watched(client: SmallClient, name: str = "") -> tuple[Any, int]:
    """An open Watch, and the first status that it told."""
    watch = client.health.Watch(health_pb2.HealthCheckRequest(service=name))
    return watch, (await watch.read()).status


@asynccontextmanager
async def leaving(stack: AsyncExitStack) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(stack.aclose())
    try:
        yield task
    finally:
        await task


async def no_more_calls(client: SmallClient) -> None:
    """Returns once the server takes none."""
    with contextlib.suppress(grpc.aio.AioRpcError):
        while True:
            await client.ask(0, timeout=1)


async def test_it_listens_on_an_address_of_ipv6() -> None:
    async with listening(double, listen_host="::1") as port, open_channel(f"[::1]:{port}") as channel:
        assert await SmallClient(port, channel).ask(21) == 42


@pytest.mark.parametrize("name", ["", NAME])
async def test_it_is_serving_as_a_whole_and_by_the_full_name_of_its_service(name: str) -> None:
    async with served(double) as client:
        answer = await client.health.Check(health_pb2.HealthCheckRequest(service=name))

    assert answer.status == SERVING


async def test_of_another_service_health_knows_nothing() -> None:
    async with served(double) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.health.Check(health_pb2.HealthCheckRequest(service="fibonacci.Fib"))

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("method", ["Check", "Watch"])
async def test_bytes_that_are_no_health_check_are_refused_without_the_text_of_an_exception(method: str) -> None:
    async with served(double) as client:
        channel: Any = client.channel  # the bytes go as they are
        name = f"/grpc.health.v1.Health/{method}"
        if method == "Check":
            refusal = await refusal_of(channel.unary_unary(name)(b"\xff\xff"))
        else:
            refusal = await refusal_of(channel.unary_stream(name)(b"\xff\xff").read())

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_MALFORMED")
    assert refusal.message == "the request is not a message of this method's type"


async def test_a_list_of_what_is_healthy_is_refused_without_the_text_of_an_exception() -> None:
    async with served(double) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.health.List(health_pb2.HealthListRequest())

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert caught.value.details() == "health is told by Check and Watch"


@pytest.mark.parametrize("name", ["", NAME])
async def test_a_watch_learns_that_it_is_leaving_while_it_still_answers(name: str) -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(30):
        port = await stack.enter_async_context(listening(double, drain_delay_seconds=1.5))
        async with careless_client_of(port) as client:
            watch, first = await first_watched(client, name)
            async with leaving(stack):
                second = (await watch.read()).status
                answer = await client.ask(21)
                watch.cancel()

    assert (first, second, answer) == (SERVING, NOT_SERVING, 42)


async def test_leaving_does_not_wait_for_an_open_watch() -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(30):
        port = await stack.enter_async_context(listening(double, drain_timeout_seconds=300))
        async with client_of(port) as client:
            watch, _ = await first_watched(client)
            await stack.aclose()
            watch.cancel()


async def test_leaving_waits_for_a_call_in_flight_and_takes_no_more() -> None:
    held = Held()
    async with AsyncExitStack() as stack, asyncio.timeout(30):
        port = await stack.enter_async_context(listening(held, drain_timeout_seconds=30))
        async with careless_client_of(port) as client:
            call = asyncio.create_task(client.ask(21))
            await held.started.wait()
            async with leaving(stack) as left:
                await no_more_calls(client)
                in_time = not left.done()
                held.release.set()

            assert (in_time, await call) == (True, 42)


async def test_a_call_that_does_not_end_in_time_is_ended() -> None:
    held = Held()
    async with AsyncExitStack() as stack, asyncio.timeout(30):
        port = await stack.enter_async_context(listening(held, drain_timeout_seconds=0.1))
        async with client_of(port) as client:
            call = asyncio.create_task(client.ask(21))
            await held.started.wait()
            left = time.monotonic()
            await stack.aclose()
            seconds = time.monotonic() - left
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call

    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    assert seconds > 0.05


async def test_a_port_in_use_is_seen_before_anything_is_served() -> None:
    async with listening(double) as port:
        with pytest.raises(CannotStart, match=f"port {port}: .*DEMO_LISTEN_PORT"):
            async with listening(double, listen_port=port):
                pass
        async with client_of(port) as client:
            assert await client.ask(21) == 42


async def test_what_is_left_frees_its_port() -> None:
    async with listening(double) as port:
        pass
    async with listening(double, listen_port=port) as again, client_of(again) as client:
        assert await client.ask(21) == 42
