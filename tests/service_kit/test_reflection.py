"""Reflection as it is switched on by a setting, and how it ends."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from tests.refusal import refusal_of
from tests.service_kit.small_service import SmallClient, client_of, double, listening, served

LIST = ServerReflectionRequest(list_services="")
METHOD = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def reflection(client: SmallClient) -> Any:
    return ServerReflectionStub(client.channel).ServerReflectionInfo()


async def test_by_default_nobody_is_told_which_methods_there_are() -> None:
    async with served(double) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await reflection(client).read()

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_one_stream_answers_one_question_after_another() -> None:
    async with served(double, reflection=True) as client:
        asking = reflection(client)
        for _ in range(2):
            await asking.write(LIST)
            services = [service.name for service in (await asking.read()).list_services_response.service]
        await asking.write(ServerReflectionRequest(file_containing_symbol="no.such.Symbol"))
        unknown = (await asking.read()).error_response.error_code
        await asking.done_writing()
        end = await asking.read()

    assert services == ["fibonacci.Fibonacci", "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"]
    assert unknown == grpc.StatusCode.NOT_FOUND.value[0]
    assert end is grpc.aio.EOF


async def test_bytes_that_are_no_question_are_refused_without_the_text_of_an_exception() -> None:
    async with served(double, reflection=True) as client:
        channel: Any = client.channel  # the bytes go as they are
        asking = channel.stream_stream(METHOD)()
        await asking.write(b"\xff\xff")
        refusal = await refusal_of(asking.read())

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_MALFORMED")


async def test_leaving_does_not_wait_for_an_open_stream() -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(30):
        port = await stack.enter_async_context(listening(double, reflection=True, drain_timeout_seconds=300))
        async with client_of(port) as client:
            asking = reflection(client)
            await asking.write(LIST)
            await asking.read()
            await stack.aclose()
            end = await asking.read()

    assert end is grpc.aio.EOF
