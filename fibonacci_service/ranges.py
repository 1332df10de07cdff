"""Consecutive numbers, as slices of stateless work that worker processes take turns at."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence

from fibonacci_service.errors import CountTooSmall, IndexNegative, RangeTooHigh, WorkerLost
from fibonacci_service.observations import Observer, Operation
from fibonacci_service.sequence import Encoding, decimal_terms, predicted_bytes
from fibonacci_service.worker_pool import WorkerPool

#: A slice takes about this long, so that streams and single numbers share the workers fairly.
SLICE_SECONDS = 0.02
#: A slice waits in memory until its reader has taken it, so its size is bounded too.
SLICE_BYTES = 4 << 20
#: The first slice is small, for a quick first byte; each further one is twice as large until it is full size.
FIRST_SLICE_SECONDS = 0.001
#: How often a slice is tried whose worker is lost.
SLICE_ATTEMPTS = 3
#: A range that is done sooner than this needs no worker.
INLINE_SECONDS = 0.001
# One decimal addition and formatting (`make bench` shows them): so much for a term, and so much for each digit of it.
_SECONDS_PER_TERM = 1.5e-6
_SECONDS_PER_DIGIT = 3.5e-9


class RangeReader:
    """Reads ranges of at most `max_index`. Memory does not depend on the count: at most two slices a reader."""

    def __init__(self, *, pool: WorkerPool, max_index: int, observers: Sequence[Observer]) -> None:
        self._pool = pool
        self._max_index = max_index
        self._observers = observers

    def check(self, start: int, count: int) -> None:
        """Raises IndexNegative, CountTooSmall or RangeTooHigh."""
        if start < 0:
            raise IndexNegative(start, field="start")
        if count < 1:
            raise CountTooSmall(count)
        if start + count - 1 > self._max_index:
            field = "start" if start > self._max_index else "count"
            raise RangeTooHigh(start + count - 1, self._max_index, field=field)

    async def read(self, start: int, count: int) -> AsyncGenerator[tuple[int, bytes], None]:
        """Pieces of about 64 KiB: the index of their first number, and numbers each followed by a line feed.

        While one slice is read the next is computed, and no further one. The range counts as answered once its first
        piece is there, whatever the reader does then. Raises WorkersBusy, before the first piece, or WorkerLost.
        """
        if _range_seconds(start, count) > INLINE_SECONDS:
            self._pool.admit()  # or refuse, which in the middle of a range would break it off
        slices = _slices(start, count)
        ahead = asyncio.ensure_future(self._slice(*next(slices)))
        try:
            pieces = await ahead
            for observer in self._observers:
                observer.record_operation(Operation.RANGE)
            while True:
                following = next(slices, None)
                if following is not None:
                    ahead = asyncio.ensure_future(self._slice(*following))
                for piece in pieces:
                    yield start, piece
                    start += piece.count(b"\n")
                if following is None:
                    return
                pieces = await ahead
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    async def _slice(self, start: int, count: int) -> list[bytes]:
        if _range_seconds(start, count) <= INLINE_SECONDS:
            return [b"".join(term + b"\n" for term in decimal_terms(start, count))]
        for _ in range(SLICE_ATTEMPTS - 1):
            with contextlib.suppress(WorkerLost):  # nothing of it was sent yet, so it can be done again
                return await self._computed(start, count)
        return await self._computed(start, count)

    async def _computed(self, start: int, count: int) -> list[bytes]:
        async with self._pool.run(
            "terms", seconds=_range_seconds(start, count), admitted=True, start=start, count=count
        ) as answer:
            # Taken in whole before any of it is sent: a slow reader must not keep a worker.
            return [piece async for piece in answer.pieces()]


def _slices(start: int, count: int) -> Iterator[tuple[int, int]]:
    """Where each slice starts and how many numbers it has."""
    end = start + count
    seconds = FIRST_SLICE_SECONDS
    while start < end:
        size = min(end - start, _slice_size(start, seconds))
        yield start, size
        start += size
        seconds = min(2 * seconds, SLICE_SECONDS)


def _range_seconds(start: int, count: int) -> float:
    return count * _term_seconds(start + count)


def _slice_size(start: int, seconds: float) -> int:
    """How many terms from `start` on take about so long and so much memory; at least one."""
    by_time = seconds / _term_seconds(start)
    by_size = SLICE_BYTES / (predicted_bytes(start, Encoding.DECIMAL) + 1)
    return max(1, int(min(by_time, by_size)))


def _term_seconds(n: int) -> float:
    return _SECONDS_PER_TERM + _SECONDS_PER_DIGIT * predicted_bytes(n, Encoding.DECIMAL)
