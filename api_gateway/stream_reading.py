"""Reads the messages of a gRPC stream, and never gives up a read that is under way."""

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

if TYPE_CHECKING:
    Call = grpc.aio.UnaryStreamCall[Any, "T"]

T = TypeVar("T")


async def next_message(call: "Call[T]") -> T | None:
    """The next message; None at the end of the stream.

    Who is cancelled meanwhile ends the call, which ends the read: grpcio does not free what arrives for a read that was
    itself cancelled, some 13 kB each time. And the call is not iterated over: it and its iterator hold each other, and
    the last message, until the garbage is collected; of large numbers that was 300 MB at times.
    """
    reading: asyncio.Task[T | None] = asyncio.create_task(_read(call))
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        call.cancel()
        reading.add_done_callback(_forget)
        raise


async def _read(call: "Call[Any]") -> Any:
    message = await call.read()
    return None if message is grpc.aio.EOF else message


def _forget(reading: "asyncio.Task[T | None]") -> None:
    if not reading.cancelled():
        reading.exception()  # else asyncio says that nobody asked for it
