import asyncio

import grpc
import pytest

from api_gateway.stream_reading import next_message


class Call:
    """Messages, and then a read that lasts until the call is ended."""

    def __init__(self, *messages: object) -> None:
        self._messages = list(messages)
        self.reading = asyncio.Event()
        self.ended = asyncio.Event()
        self.read_was_cancelled = False

    async def read(self) -> object:
        if self._messages:
            return self._messages.pop(0)
        self.reading.set()
        try:
            await self.ended.wait()
        except asyncio.CancelledError:
            self.read_was_cancelled = True
            raise
        raise ConnectionError

    def cancel(self) -> bool:
        self.ended.set()
        return True


async def test_messages_come_one_by_one_until_there_are_no_more() -> None:
    call = Call(1, 2, grpc.aio.EOF)

    assert [await next_message(call, int) for _ in range(3)] == [1, 2, None]
    assert not call.ended.is_set()


async def test_an_error_of_the_stream_is_the_readers() -> None:
    call = Call(1)
    assert await next_message(call, int) == 1
    call.cancel()
    with pytest.raises(ConnectionError):
        await next_message(call, int)


async def test_a_reader_that_is_cancelled_ends_the_call_and_not_the_read() -> None:
    call = Call()
    reader = asyncio.create_task(next_message(call, int))
    await call.reading.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert call.ended.is_set()
    await asyncio.sleep(0)
    assert not call.read_was_cancelled
