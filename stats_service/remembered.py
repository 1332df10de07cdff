"""A reading that many ask for at once, made once for all of them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """What `read` returned, as long as it is not too old or has been forgotten."""

    def __init__(self, read: Callable[[], Awaitable[T]], *, seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._reading: asyncio.Task[T] | None = None
        self._began_at = 0.0

    async def get(self) -> T:
        """Raises what `read` raises."""
        reading = self._reading
        if reading is None or self._is_old(reading):
            reading = self._reading = asyncio.ensure_future(self._begin())
        return await asyncio.shield(reading)

    def forget(self) -> None:
        """What is read from now on begins after this."""
        self._reading = None

    async def _begin(self) -> T:
        self._began_at = asyncio.get_running_loop().time()
        return await self._read()

    def _is_old(self, reading: "asyncio.Task[T]") -> bool:
        if not reading.done():
            return False
        failed = reading.cancelled() or reading.exception() is not None
        return failed or asyncio.get_running_loop().time() - self._began_at > self._seconds
