import asyncio
from collections.abc import AsyncIterator

import pytest

from api_gateway.stream_reading import next_message


class Call:
    """One message that comes when it is told to, and what became of the read for it."""

    def __init__(self) -> None:
        self.reading = asyncio.Event()
        self.ended = asyncio.Event()
        self.read_was_cancelled = False
        self.messages = self._messages()

    async def _messages(self) -> AsyncIterator[int]:
        yield 1
        self.reading.set()
        try:
            await self.ended.wait()
        except asyncio.CancelledError:
            self.read_was_cancelled = True
            raise
        raise ConnectionError

    def end(self) -> None:
        self.ended.set()


async def test_messages_come_one_by_one_until_there_are_no_more() -> None:
    async def two() -> AsyncIterator[int]:
        yield 1
        yield 2

    messages = two()
    assert [await next_message(messages, end_call=pytest.fail) for _ in range(3)] == [1, 2, None]


async def test_an_error_of_the_stream_is_the_readers() -> None:
    call = Call()
    assert await next_message(call.messages, end_call=call.end) == 1
    call.end()
    with pytest.raises(ConnectionError):
        await next_message(call.messages, end_call=call.end)


async def test_a_reader_that_is_cancelled_ends_the_call_and_not_the_read() -> None:
    call = Call()
    assert await next_message(call.messages, end_call=call.end) == 1
    reader = asyncio.create_task(next_message(call.messages, end_call=call.end))
    await call.reading.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert call.ended.is_set()
    await asyncio.sleep(0)
    assert not call.read_was_cancelled
