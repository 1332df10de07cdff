"""Reads the messages of a gRPC stream."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from service_kit.call_reading import unbroken

if TYPE_CHECKING:
    Call = grpc.aio.UnaryStreamCall[Any, "T"]

T = TypeVar("T")


async def next_message(call: "Call[T]") -> T | None:
    """The next message; None at the end of the stream. Who is cancelled meanwhile ends the call.

    The call is not iterated over: it and its iterator hold each other, and the last message, until the garbage is
    collected; of large numbers that was 300 MB at times.
    """
    return await unbroken(_read(call), end_call=call.cancel)


def let_end(call: "Call[Any]", *, patience_seconds: float) -> None:
    """Leaves a call that has nothing more to tell but its status, which nobody waits for, and ends it if none comes.

    To cancel it at once would have it counted as cancelled at both ends, although all of it was answered and read.
    """
    if not call.done():
        waiting = asyncio.get_running_loop().call_later(patience_seconds, call.cancel)
        call.add_done_callback(partial(_cancel_timer, waiting))


def _cancel_timer(waiting: asyncio.TimerHandle, _call: object) -> None:
    waiting.cancel()


async def _read(call: "Call[Any]") -> Any:
    message = await call.read()
    return None if message is grpc.aio.EOF else message
