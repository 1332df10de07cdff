"""One computation for identical requests that come while it runs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from service_kit.traces import current_span, follow

K = TypeVar("K")
V = TypeVar("V")


class _Flight(Generic[V]):
    def __init__(self, task: "asyncio.Task[V]") -> None:
        self.task = task
        self.passengers = 0
        self.begun_for = current_span.get()


class Flights(Generic[K, V]):
    """The computations under way, by what they compute. One ends early when the last that waits for it is cancelled."""

    def __init__(self) -> None:
        self._flights: dict[K, _Flight[V]] = {}

    async def join(self, key: K, compute: Callable[[], Awaitable[V]]) -> tuple[V, bool]:
        """The result of the computation for the key, and whether it was under way already or had to be begun."""
        under_way = self._flights.get(key)
        flight = under_way or self._start(key, compute)
        if under_way is not None:
            follow(under_way.begun_for)
        flight.passengers += 1
        try:
            return await asyncio.shield(flight.task), under_way is not None
        finally:
            flight.passengers -= 1
            if flight.passengers == 0 and not flight.task.done():
                self._land(key, flight)  # a request that comes now must not join what is being cancelled
                flight.task.cancel()

    def _start(self, key: K, compute: Callable[[], Awaitable[V]]) -> _Flight[V]:
        flight = self._flights[key] = _Flight(asyncio.ensure_future(_run(compute)))
        flight.task.add_done_callback(lambda _: self._land(key, flight))
        return flight

    def _land(self, key: K, flight: _Flight[V]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


async def _run(compute: Callable[[], Awaitable[V]]) -> V:
    return await compute()
