"""Answers requests for numbers: limits, cache, one computation for all who ask, and the fact that it leaves."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fibonacci_service.cache import EncodedValue, Key, ValueCache
from fibonacci_service.errors import (
    BatchTooLarge,
    EncodingNeeded,
    EncodingUnknown,
    FibonacciError,
    IndexNegative,
    IndexTooLarge,
)
from fibonacci_service.flights import Flights
from fibonacci_service.sequence import INT64_MAX_INDEX, SMALL, Encoding, predicted_bytes
from fibonacci_service.values import INLINE_MAX_INDEX, ValueWorkers, encoded_value

MAX_BATCH_ITEMS = 1_000
MAX_BATCH_BYTES = 1 << 20
#: An answer that took longer has its line in the log under every policy.
DEAR_NS = 1_000_000
#: A number beyond this takes long enough, 50 us, that a batch lets others have their turn after it.
GIVE_WAY_INDEX = 20_000
_ENCODINGS = frozenset(Encoding)


@dataclass(frozen=True, slots=True)
class Computation:
    """One answered request."""

    n: int
    encoded: EncodedValue
    cached: bool
    duration_ns: int

    @property
    def dear(self) -> bool:
        return self.duration_ns > DEAR_NS

    @property
    def x(self) -> int:
        """F(n) where it fits int64, else 0."""
        return SMALL[self.n] if self.n <= INT64_MAX_INDEX else 0


#: An index and an encoding's number, 0 where the caller understands int64 alone.
Request = tuple[int, int]
Observer = Callable[[Computation], None]


class Calculator:
    """Computes each number once and keeps it. It runs on one event loop and needs no lock."""

    def __init__(
        self, *, cache: ValueCache, workers: ValueWorkers, max_index: int, observers: Sequence[Observer]
    ) -> None:
        self._cache = cache
        self._workers = workers
        self._max_index = max_index
        self._observers = observers
        self._flights: Flights[Key, EncodedValue] = Flights()

    async def compute(self, n: int, encoding: int) -> Computation:
        """Answers one request and tells the observers. A refused or failed request is not observed.

        Raises IndexNegative, IndexTooLarge, EncodingNeeded, EncodingUnknown, WorkersBusy or WorkerLost. When the last
        request that waits for a number is cancelled, its computation ends.
        """
        return self._compute_now(n, encoding) or await self._compute_in_workers(n, encoding)

    async def compute_encoded(self, n: int, encoding: int) -> Computation:
        """The same for a caller that reads bytes only: without an encoding it raises EncodingUnknown."""
        if encoding not in _ENCODINGS:
            raise EncodingUnknown(encoding)
        return await self.compute(n, encoding)

    async def compute_each(self, requests: Sequence[Request]) -> list[Computation | FibonacciError]:
        """Answers every request in order; one that is refused or fails leaves its error in its place.

        Raises BatchTooLarge before anything is computed.
        """
        self._check_batch(requests)
        outcomes: list[Computation | FibonacciError | None] = []
        for n, encoding in requests:
            outcomes.append(self._outcome_now(n, encoding))
            if n > GIVE_WAY_INDEX:
                await asyncio.sleep(0)
        dear = [position for position, outcome in enumerate(outcomes) if outcome is None]
        later = await asyncio.gather(*(self._outcome_in_workers(*requests[position]) for position in dear))
        for position, outcome in zip(dear, later, strict=True):
            outcomes[position] = outcome
        return [outcome for outcome in outcomes if outcome is not None]

    def _outcome_now(self, n: int, encoding: int) -> Computation | FibonacciError | None:
        try:
            return self._compute_now(n, encoding)
        except FibonacciError as error:
            return error

    async def _outcome_in_workers(self, n: int, encoding: int) -> Computation | FibonacciError:
        try:
            return await self._compute_in_workers(n, encoding)
        except FibonacciError as error:
            return error

    def _compute_now(self, n: int, encoding: int) -> Computation | None:
        """The answer when it is kept or quick to compute, else None. It does not yield, so nobody computes it twice."""
        started = time.perf_counter_ns()
        self._check(n, encoding)
        key = (n, Encoding(encoding or Encoding.DECIMAL))
        encoded = self._cache.get(key)
        cached = encoded is not None
        if encoded is None:
            if n > INLINE_MAX_INDEX:
                return None
            encoded = encoded_value(*key)
            self._cache.put(key, encoded)
        return self._observed(Computation(n, encoded, cached, time.perf_counter_ns() - started))

    async def _compute_in_workers(self, n: int, encoding: int) -> Computation:
        started = time.perf_counter_ns()
        key = (n, Encoding(encoding))
        encoded = await self._flights.join(key, lambda: self._compute_and_keep(key))
        return self._observed(Computation(n, encoded, cached=False, duration_ns=time.perf_counter_ns() - started))

    async def _compute_and_keep(self, key: Key) -> EncodedValue:
        encoded = await self._workers.value(*key)
        self._cache.put(key, encoded)
        return encoded

    def _observed(self, computation: Computation) -> Computation:
        for observe in self._observers:
            observe(computation)
        return computation

    def _check(self, n: int, encoding: int) -> None:
        if n < 0:
            raise IndexNegative(n)
        if n > self._max_index:
            raise IndexTooLarge(n, self._max_index)
        if encoding == 0 and n > INT64_MAX_INDEX:
            raise EncodingNeeded(n)
        if encoding and encoding not in _ENCODINGS:
            raise EncodingUnknown(encoding)

    def _check_batch(self, requests: Sequence[Request]) -> None:
        if len(requests) > MAX_BATCH_ITEMS:
            raise BatchTooLarge(size=len(requests), limit=MAX_BATCH_ITEMS, unit="items")
        # Decimal is the longer encoding; an index that will be refused adds next to nothing.
        size = sum(predicted_bytes(n, Encoding.DECIMAL) for n, _ in requests if 0 <= n <= self._max_index)
        if size > MAX_BATCH_BYTES:
            raise BatchTooLarge(size=size, limit=MAX_BATCH_BYTES, unit="bytes of values")
