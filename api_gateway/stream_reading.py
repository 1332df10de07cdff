"""Reads the messages of a gRPC stream, and never gives up a read that is under way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

T = TypeVar("T")


async def next_message(messages: AsyncIterator[T], *, end_call: Callable[[], object]) -> T | None:
    """The next message; None at the end of the stream.

    Who is cancelled meanwhile ends the call, which ends the read: grpcio does not free what arrives for a read that was
    itself cancelled, some 13 kB each time.
    """
    reading = asyncio.create_task(_read(messages))
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        end_call()
        reading.add_done_callback(_forget)
        raise


async def _read(messages: AsyncIterator[T]) -> T | None:
    return await anext(messages, None)


def _forget(reading: "asyncio.Task[T | None]") -> None:
    if not reading.cancelled():
        reading.exception()  # else asyncio says that nobody asked for it
