"""Values computed in worker processes: in one, or the digits of a long one in two."""

import asyncio
import hashlib

from fibonacci_service.price import REFERENCE
from fibonacci_service.sequence import Encoding, predicted_bytes
from fibonacci_service.values import EncodedValue
from fibonacci_service.worker_pool import WorkerPool

#: From here on it pays to let two idle workers convert one half of the digits each.
SHARED_MIN_INDEX = 2_000_000
#: What a number takes without its decimal digits, and what it takes with half of them, beside what it takes with all:
#: 0.14 to 0.23 and 0.66 to 0.7 for indices from 150,000 to 30,000,000.
_BINARY_SHARE = 0.2
_HALF_SHARE = 0.7


class ValueWorkers:
    """Computes values in worker processes. Leaving a computation ends it."""

    def __init__(self, *, pool: WorkerPool) -> None:
        self._pool = pool

    async def value(self, n: int, encoding: Encoding) -> EncodedValue:
        """Raises WorkersBusy or WorkerLost."""
        if encoding is Encoding.DECIMAL and n >= SHARED_MIN_INDEX and self._pool.backlog.empty and self._pool.size > 1:
            return await self._shared(n)
        seconds = REFERENCE.seconds(n) * (1 if encoding is Encoding.DECIMAL else _BINARY_SHARE)
        return EncodedValue(*await self._pool.whole("value", seconds=seconds, n=n, encoding=int(encoding)))

    def step_aside(self) -> None:
        """For who waits for a value, also where its computation was begun for another. Raises WorkersBusy."""
        self._pool.step_aside()

    async def _shared(self, n: int) -> EncodedValue:
        """Two workers compute F(n), which is quick, and each converts half of its digits, which is not."""
        low = predicted_bytes(n, Encoding.DECIMAL) // 2
        seconds = REFERENCE.seconds(n) * _HALF_SHARE
        try:
            async with asyncio.TaskGroup() as group:
                upper = group.create_task(self._pool.whole("upper_digits", seconds=seconds, n=n, low=low))
                lower = group.create_task(self._pool.whole("lower_digits", seconds=seconds, n=n, low=low))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        data = b"".join((upper.result()[0], lower.result()[0]))
        return EncodedValue(data, await asyncio.to_thread(_sha256, data))


def _sha256(data: bytes) -> bytes:
    """In a thread, for hashlib lets go of Python's lock."""
    return hashlib.sha256(data).digest()
