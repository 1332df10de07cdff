"""Reads what an RPC is answered with, and never gives up a read that is under way.

grpcio does not free what arrives for a read that was itself cancelled, nor the operations of the read: some 13 kB each
time, and an answer of one message whole.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def unbroken(reading: Coroutine[Any, Any, T], *, end_call: Callable[[], object]) -> T:
    """What is read. Who is cancelled meanwhile ends the call, which ends the read."""
    task = asyncio.create_task(reading)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        end_call()
        task.add_done_callback(_forget)
        raise


def give_up(call: Any) -> None:
    """Ends a call whose answer is one message; its own `cancel` would cancel the read as well.

    It does, where grpcio should once have no such core: then some memory is lost, and no call.
    """
    core = getattr(call, "_cython_call", None)
    if core is None:
        call.cancel()
    elif not core.done():
        core.cancel("given up")


def was_given_up(call: Any) -> bool:
    """Whether a call was ended on this side. Not, where grpcio should once have no such core."""
    core = getattr(call, "_cython_call", None)
    return core is not None and bool(core.is_locally_cancelled())


def _forget(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()  # else asyncio says that nobody asked for it
