"""Answers requests for numbers: limits, cache, one computation for all who ask, and who is told of it."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from fibonacci_service.cache import Key, ValueCache
from fibonacci_service.errors import (
    BatchTooLarge,
    EncodingNeeded,
    EncodingUnknown,
    FibonacciError,
    IndexNegative,
    IndexTooLarge,
)
from fibonacci_service.flights import Flights
from fibonacci_service.observations import Computation, Failure, Observer, Origin, failure_kind
from fibonacci_service.sequence import INT64_MAX_INDEX, Encoding, predicted_bytes
from fibonacci_service.value_workers import ValueWorkers
from fibonacci_service.values import INLINE_MAX_INDEX, EncodedValue, encoded_value

MAX_BATCH_ITEMS = 1_000
MAX_BATCH_BYTES = 1 << 20
#: A number beyond this takes long enough, 50 us, that a batch lets others have their turn after it.
GIVE_WAY_INDEX = 20_000
_ENCODINGS = frozenset(Encoding)

#: An index and an encoding's number, 0 where the caller understands int64 alone.
Request = tuple[int, int]


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
        """Answers one request and tells the observers, also of a failure. A refused request is not observed.

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

        Equal requests share one outcome. Raises BatchTooLarge before anything is computed. Where it is cancelled, or
        raises for a defect, each request is observed once all the same: what was begun by who computes it, the rest
        by `_abandon`.
        """
        self._check_batch(requests)
        distinct = list(dict.fromkeys(requests))
        if len(distinct) == len(requests):
            return await self._outcomes(distinct)
        repeats = Counter(requests) - Counter(distinct)
        try:
            outcomes = dict(zip(distinct, await self._outcomes(distinct), strict=True))
        except (Exception, asyncio.CancelledError) as error:
            self._abandon(repeats.elements(), error)  # not the distinct ones: of these `_outcomes` has told
            raise
        for request, times in repeats.items():
            self._observe_repeats(outcomes[request], request, times)
        return [outcomes[request] for request in requests]

    async def _outcomes(self, requests: Sequence[Request]) -> list[Computation | FibonacciError]:
        outcomes = await self._quick_outcomes(requests)
        not_begun = {position: requests[position] for position, outcome in enumerate(outcomes) if outcome is None}

        async def begin(position: int) -> None:
            outcomes[position] = await self._outcome_in_workers(*not_begun.pop(position))

        try:
            await asyncio.gather(*map(begin, tuple(not_begun)))
        except asyncio.CancelledError as error:
            self._abandon(not_begun.values(), error)  # a task that is cancelled before its first turn never runs
            raise
        return [outcome for outcome in outcomes if outcome is not None]

    async def _quick_outcomes(self, requests: Sequence[Request]) -> list[Computation | FibonacciError | None]:
        """The outcome of each request that is refused, kept or quick to compute; None for the others."""
        outcomes: list[Computation | FibonacciError | None] = []
        untried = iter(requests)
        try:
            for n, encoding in untried:
                outcomes.append(self._outcome_now(n, encoding))
                if n > GIVE_WAY_INDEX:
                    await asyncio.sleep(0)
        except (Exception, asyncio.CancelledError) as error:
            # Not those with an outcome, and not the one that raised, which is in neither.
            dear = (request for request, outcome in zip(requests, outcomes, strict=False) if outcome is None)
            self._abandon([*dear, *untried], error)
            raise
        return outcomes

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
        origin: Origin = "cache"
        if encoded is None:
            if n > INLINE_MAX_INDEX:
                return None
            encoded = self._compute_inline(key)
            origin = "computed"
        return self._observed(Computation(n, encoded, origin, time.perf_counter_ns() - started))

    def _compute_inline(self, key: Key) -> EncodedValue:
        try:
            encoded = encoded_value(*key)
        except Exception as error:
            self._fail(key[0], error)
            raise
        self._cache.put(key, encoded)
        return encoded

    async def _compute_in_workers(self, n: int, encoding: int) -> Computation:
        started = time.perf_counter_ns()
        key = (n, Encoding(encoding))
        try:
            encoded, joined = await self._join(key)
        except (Exception, asyncio.CancelledError) as error:
            self._fail(n, error)
            raise
        origin: Origin = "coalesced" if joined else "computed"
        return self._observed(Computation(n, encoded, origin, time.perf_counter_ns() - started))

    async def _join(self, key: Key) -> tuple[EncodedValue, bool]:
        """The value, and whether its computation was under way already."""
        self._workers.step_aside()
        return await self._flights.join(key, lambda: self._compute_and_keep(key))

    async def _compute_and_keep(self, key: Key) -> EncodedValue:
        encoded = await self._workers.value(*key)
        self._cache.put(key, encoded)
        return encoded

    def _observed(self, computation: Computation) -> Computation:
        for observer in self._observers:
            observer.record(computation)
        return computation

    def _observe_repeats(self, outcome: Computation | FibonacciError, request: Request, times: int) -> None:
        """Tells of further requests in a batch that share an outcome; of a refused one there is nothing to tell."""
        match outcome:
            case Computation():
                origin: Origin = "cache" if outcome.cached else "coalesced"
                repeated = Computation(outcome.n, outcome.encoded, origin, outcome.duration_ns)
                for observer in self._observers:
                    observer.record(repeated, times)
            case FibonacciError():
                self._abandon([request] * times, outcome)

    def _fail(self, n: int, error: BaseException) -> None:
        failure = Failure(n, failure_kind(error))
        for observer in self._observers:
            observer.record_failure(failure)

    def _abandon(self, requests: Iterable[Request], error: BaseException) -> None:
        """Observes as failed what a batch never came to compute, but for those that it would have refused."""
        for n, encoding in requests:
            with contextlib.suppress(FibonacciError):
                self._check(n, encoding)
                self._fail(n, error)

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
        # Decimal is the longer encoding.
        longest = max((n for n, _ in requests), default=0)
        if len(requests) * predicted_bytes(longest, Encoding.DECIMAL) <= MAX_BATCH_BYTES:
            return
        # An index that will be refused adds nothing.
        size = sum(predicted_bytes(n, Encoding.DECIMAL) for n, _ in requests if 0 <= n <= self._max_index)
        if size > MAX_BATCH_BYTES:
            raise BatchTooLarge(size=size, limit=MAX_BATCH_BYTES, unit="bytes of values")
