"""Reads the messages of a gRPC stream, and never gives up a read that is under way."""

import asyncio
from typing import Any, Protocol, TypeVar, cast

import grpc

T = TypeVar("T")


class StreamedCall(Protocol):
    """What is used here of a call whose answer is a stream."""

    async def read(self) -> Any: ...

    def cancel(self) -> bool: ...


async def next_message(call: StreamedCall, _type: type[T]) -> T | None:
    """The next message, which is of that type; None at the end of the stream.

    Who is cancelled meanwhile ends the call, which ends the read: grpcio does not free what arrives for a read that was
    itself cancelled, some 13 kB each time. Nor is the call iterated over: grpcio leaves its generator to be collected.
    """
    reading = asyncio.create_task(call.read())
    try:
        message = await asyncio.shield(reading)
    except asyncio.CancelledError:
        call.cancel()
        reading.add_done_callback(_forget)
        raise
    return None if message is grpc.aio.EOF else cast("T", message)


def _forget(reading: "asyncio.Task[Any]") -> None:
    if not reading.cancelled():
        reading.exception()  # else asyncio says that nobody asked for it
