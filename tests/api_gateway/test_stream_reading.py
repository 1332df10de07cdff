import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any, cast

import grpc
import pytest

from api_gateway.stream_reading import next_message
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci.fib_pb2 import DECIMAL, StreamFibRequest
from service_kit.traced_channel import traced_channel
from service_kit.traces import NOTHING, Active, Tracer
from tests.api_gateway.streaming_neighbour import LARGE_N, StreamingFibonacci, serving
from tests.tracing import Exported


class Call:
    """One message, then a read that lasts until the call is cancelled, and what became of that read."""

    def __init__(self) -> None:
        self.reading = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.read_was_cancelled = False
        self._messages = iter([1])

    async def read(self) -> object:
        for message in self._messages:
            return message
        self.reading.set()
        try:
            await self.cancelled.wait()
        except asyncio.CancelledError:
            self.read_was_cancelled = True
            raise
        raise ConnectionError

    def cancel(self) -> None:
        self.cancelled.set()


class EndingCall(Call):
    async def read(self) -> object:
        return next(self._messages, grpc.aio.EOF)


def read(call: Call) -> Any:
    return next_message(cast("Any", call))


async def test_messages_come_one_by_one_until_there_are_no_more() -> None:
    call = EndingCall()
    assert [await read(call) for _ in range(3)] == [1, None, None]
    assert not call.cancelled.is_set()


async def test_an_error_of_the_stream_is_the_readers() -> None:
    call = Call()
    assert await read(call) == 1
    call.cancel()
    with pytest.raises(ConnectionError):
        await read(call)


async def test_a_reader_that_is_cancelled_ends_the_call_and_not_the_read() -> None:
    call = Call()
    assert await read(call) == 1
    reader = asyncio.create_task(read(call))
    await call.reading.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert call.cancelled.is_set()
    await asyncio.sleep(0)
    assert not call.read_was_cancelled


class Message:
    """Those of protobuf do not tell when they are gone."""

    def __init__(self, _text: bytes) -> None:
        pass


@pytest.fixture
def _no_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collection")
@pytest.mark.parametrize("tracer", [None, Exported().tracer], ids=["untraced", "traced"])
async def test_a_call_that_was_left_keeps_no_message_until_the_garbage_is_collected(tracer: Tracer | None) -> None:
    async with serving(StreamingFibonacci()) as target, open_channel(target) as plain:
        channel = traced_channel(plain, tracer)
        method = channel.unary_stream("/fibonacci.Fibonacci/StreamFib", StreamFibRequest.SerializeToString, Message)
        with Active(tracer.begin("root")) if tracer else NOTHING:
            call: Any = method(StreamFibRequest(n=LARGE_N, encoding=DECIMAL), wait_for_ready=True)
        messages = [weakref.ref(await next_message(call)) for _ in range(2)]
        call.cancel()
        del call
        await asyncio.sleep(0)
        assert [message() for message in messages] == [None, None]
