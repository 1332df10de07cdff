import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
import structlog
from google.rpc.status_pb2 import Status
from grpc_status.rpc_status import from_call

from service_kit.errors import ServiceError
from service_kit.logs import SLOW_REQUEST_SECONDS
from service_kit.rpc_status import number_of
from tests.refusal import Refusal, refusal_of
from tests.service_kit.small_service import careless_client_of, double, exchanged, listening, served

INVALID, INTERNAL = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL


class Refused(ServiceError):
    reason = "REFUSED"
    field = "n"


TABLE = {Refused: INVALID}


async def refuse_two(n: int) -> int:
    if n == 2:
        raise Refused(f"not {n}")
    return n


async def crash_at_two(n: int) -> int:
    if n == 2:
        raise ValueError(f"the password is {n}")
    return n


def served_lines(lines: list[Any]) -> list[Mapping[str, Any]]:
    return [line for line in lines if line["event"] == "rpc.served"]


async def ended(call: Any) -> grpc.StatusCode:
    """The status of a call of which nothing more comes."""
    assert await call.read() is grpc.aio.EOF
    status: grpc.StatusCode = await call.code()
    return status


async def test_each_message_has_its_answer_and_the_call_one_line() -> None:
    with structlog.testing.capture_logs() as lines:
        async with served(double) as client:
            call = client.exchange(metadata=(("x-request-id", "followed-1"),))
            assert [await exchanged(call, 1, 2), await exchanged(call, 3)] == [[2, 4], [6]]
            await call.done_writing()
            assert await ended(call) is grpc.StatusCode.OK

    [line] = served_lines(lines)
    assert (line["method"], line["code"]) == ("/fibonacci.Fibonacci/ExchangeFib", "OK")


async def test_a_call_that_its_client_keeps_open_is_not_slow() -> None:
    with structlog.testing.capture_logs() as lines:
        async with served(double, policy="errors") as client:
            call = client.exchange()
            await exchanged(call, 1)
            await asyncio.sleep(2 * SLOW_REQUEST_SECONDS)
            await call.done_writing()
            assert await ended(call) is grpc.StatusCode.OK

    assert lines == []


async def test_an_error_of_the_table_ends_the_call_with_its_status() -> None:
    async with served(refuse_two, table=TABLE) as client:
        call = client.exchange()
        assert await exchanged(call, 1) == [1]
        refusal = await refusal_of(exchanged(call, 2))

    assert refusal == Refusal(INVALID, "not 2", "REFUSED", "n", {})


async def test_an_unexpected_exception_is_internal_without_a_word_of_it() -> None:
    with structlog.testing.capture_logs() as lines:
        async with served(crash_at_two) as client:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await exchanged(client.exchange(), 2)

    assert from_call(caught.value) == Status(code=number_of(INTERNAL), message="internal error")
    assert [line["event"] for line in lines] == ["rpc.crashed", "rpc.served"]


async def test_bytes_that_are_no_message_are_the_callers_fault() -> None:
    async with served(double) as client:
        channel: Any = client.channel  # the bytes go as they are
        call = channel.stream_stream("/fibonacci.Fibonacci/ExchangeFib")()
        await call.write(b"\xff\xff")
        refusal = await refusal_of(call.read())

    assert (refusal.code, refusal.reason) == (INVALID, "MESSAGE_MALFORMED")


async def test_a_server_that_leaves_ends_an_idle_call_at_once_and_well() -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(30):
        port = await stack.enter_async_context(listening(double, drain_timeout_seconds=60))
        async with careless_client_of(port) as client:
            used, unused = client.exchange(), client.exchange()
            await exchanged(used, 1)
            await unused.wait_for_connection()
            leaving = asyncio.create_task(stack.aclose())
            assert [await ended(used), await ended(unused)] == [grpc.StatusCode.OK] * 2
            await leaving


async def test_a_server_that_leaves_answers_what_it_has_read_before_it_ends_a_call() -> None:
    read, release = asyncio.Event(), asyncio.Event()

    async def held(n: int) -> int:
        read.set()
        await release.wait()
        return n

    async with AsyncExitStack() as stack, asyncio.timeout(30):
        port = await stack.enter_async_context(listening(held, drain_timeout_seconds=60))
        async with careless_client_of(port) as client:
            call, idle = client.exchange(), client.exchange()
            await idle.wait_for_connection()
            answer = asyncio.create_task(exchanged(call, 1))
            await read.wait()
            leaving = asyncio.create_task(stack.aclose())
            assert await ended(idle) is grpc.StatusCode.OK  # from here on the server ends calls
            release.set()
            assert (await answer, await ended(call)) == ([1], grpc.StatusCode.OK)
            await leaving
