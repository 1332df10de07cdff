"""Answers requests for numbers: limits, cache, computation, and the fact that each answer leaves behind."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fibonacci_service.cache import ValueCache
from fibonacci_service.errors import (
    BatchTooLarge,
    EncodingNeeded,
    EncodingUnknown,
    FibonacciError,
    IndexNegative,
    IndexTooLarge,
)
from fibonacci_service.sequence import INT64_MAX_INDEX, SMALL, Encoding, encode, fibonacci, predicted_bytes

MAX_BATCH_ITEMS = 1_000
MAX_BATCH_BYTES = 1 << 20
#: An answer that took longer has its line in the log under every policy.
DEAR_NS = 1_000_000
_ENCODINGS = frozenset(Encoding)


@dataclass(frozen=True, slots=True)
class Computation:
    """One answered request."""

    n: int
    value: bytes
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
    """Computes each number once and keeps it.

    It runs on one event loop and does not yield while it computes, so identical requests that
    arrive together are one computation and the rest cache hits. The limit keeps that below a millisecond.
    """

    def __init__(self, *, cache: ValueCache, max_index: int, observers: Sequence[Observer]) -> None:
        self._cache = cache
        self._max_index = max_index
        self._observers = observers

    def compute(self, n: int, encoding: int) -> Computation:
        """Answers one request and tells the observers.

        Raises IndexNegative, IndexTooLarge, EncodingNeeded or EncodingUnknown; a refused request is not observed.
        """
        started = time.perf_counter_ns()
        self._check(n, encoding)
        value, cached = self._value(n, Encoding(encoding or Encoding.DECIMAL))
        computation = Computation(n, value, cached, time.perf_counter_ns() - started)
        for observe in self._observers:
            observe(computation)
        return computation

    def compute_each(self, requests: Sequence[Request]) -> list[Computation | FibonacciError]:
        """Answers every request in order; one that is refused leaves its error in its place.

        Raises BatchTooLarge before anything is computed.
        """
        self._check_batch(requests)
        return [self._outcome(n, encoding) for n, encoding in requests]

    def _outcome(self, n: int, encoding: int) -> Computation | FibonacciError:
        try:
            return self.compute(n, encoding)
        except FibonacciError as error:
            return error

    def _value(self, n: int, encoding: Encoding) -> tuple[bytes, bool]:
        kept = self._cache.get((n, encoding))
        if kept is not None:
            return kept, True
        value = encode(fibonacci(n), encoding)
        self._cache.put((n, encoding), value)
        return value, False

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
