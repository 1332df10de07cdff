"""Where a value comes from: computed at once when that is quick, else in worker processes."""

import asyncio
import hashlib

from fibonacci_service.cache import EncodedValue
from fibonacci_service.sequence import Encoding, encode, fibonacci, predicted_bytes
from fibonacci_service.workers import WorkerPool

#: Up to here a computation takes less than a millisecond, and runs on the event loop.
INLINE_MAX_INDEX = 150_000
#: From here on it pays to let two idle workers convert one half of the digits each.
SHARED_MIN_INDEX = 2_000_000


def encoded_value(n: int, encoding: Encoding) -> EncodedValue:
    """Computes a value here and now."""
    data = encode(fibonacci(n), encoding)
    return EncodedValue(data, hashlib.sha256(data).digest())


class ValueWorkers:
    """Computes values in worker processes. Leaving a computation ends it."""

    def __init__(self, *, pool: WorkerPool) -> None:
        self._pool = pool

    async def value(self, n: int, encoding: Encoding) -> EncodedValue:
        """Raises WorkersBusy or WorkerLost."""
        if encoding is Encoding.DECIMAL and n >= SHARED_MIN_INDEX and self._pool.idle and self._pool.size > 1:
            return await self._shared(n)
        return EncodedValue(*await self._pool.whole("value", n=n, encoding=int(encoding)))

    async def _shared(self, n: int) -> EncodedValue:
        """Two workers compute F(n), which is quick, and each converts half of its digits, which is not."""
        low = predicted_bytes(n, Encoding.DECIMAL) // 2
        try:
            async with asyncio.TaskGroup() as group:
                upper = group.create_task(self._pool.whole("upper_digits", n=n, low=low))
                lower = group.create_task(self._pool.whole("lower_digits", n=n, low=low))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        data = b"".join((upper.result()[0], lower.result()[0]))
        return EncodedValue(data, await asyncio.to_thread(_sha256, data))


def _sha256(data: bytes) -> bytes:
    """In a thread, for hashlib lets go of Python's lock."""
    return hashlib.sha256(data).digest()
