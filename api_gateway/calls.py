"""One attempt of an RPC: its deadline, its request id, and its error as the gateway's own."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from api_gateway.errors import UpstreamError
from api_gateway.number_stream import NumberStream
from api_gateway.range_stream import RangeStream
from api_gateway.stats_stream import StatsStream
from service_kit.call_reading import give_up, unbroken
from service_kit.request_id import METADATA_KEY, current_request_id

T = TypeVar("T")
Stream = TypeVar("Stream", NumberStream, RangeStream, StatsStream)


async def answered(method: Callable[..., Awaitable[T]], request: Message, deadline: float) -> T:
    """One attempt, by a deadline of the loop's clock. Raises UpstreamError."""
    timeout = deadline - asyncio.get_running_loop().time()
    call = method(request, timeout=timeout, wait_for_ready=True, metadata=metadata())
    try:
        return await unbroken(_answer(call), end_call=lambda: give_up(call))
    except grpc.aio.AioRpcError as error:
        raise UpstreamError.from_call(error) from None


async def _answer(call: Awaitable[T]) -> T:
    return await call


async def opened(stream: Stream) -> Stream:
    """The stream once its first message is there. Raises UpstreamError."""
    try:
        await stream.open()
    except grpc.aio.AioRpcError as error:
        raise UpstreamError.from_call(error) from None
    except BaseException:
        stream.close()
        raise
    return stream


def metadata() -> tuple[tuple[str, str], ...]:
    return ((METADATA_KEY, current_request_id.get()),)
