"""Work that must not be left in the middle."""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def uncancelled(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Runs to its end before a cancellation is let through, however often it comes.

    A call is cancelled whenever its client goes away. A transaction that is left in the middle of a statement loses
    its connection, and in SQLite that one keeps the only lock for writing until the garbage collector finds it.
    """

    @functools.wraps(work)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        task = asyncio.create_task(work(*args, **kwargs))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            while not task.done():
                with contextlib.suppress(asyncio.CancelledError):  # that of one who cancels again, as a drain does
                    await asyncio.wait([task])
            raise

    return call
