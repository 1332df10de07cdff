"""The clients that watch the account: how many there may be, and what each has not seen yet."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence

from service_kit.refusals import RefusalLog
from stats_service.errors import IntervalOutOfRange, TooManyWatchers
from stats_service.measures import NumberMeasures
from stats_service.summary import Page, Totals

MIN_INTERVAL_SECONDS = 0.1
MAX_INTERVAL_SECONDS = 60.0
DEFAULT_INTERVAL_SECONDS = 1.0


class Watchers:
    """Looks at the account for each of its watchers, and ends them all at once."""

    def __init__(self, *, look: Callable[[], Awaitable[Page]], limit: int) -> None:
        self._look = look
        self._limit = limit
        self.watching = 0
        self.refusals = RefusalLog("overload.refused", refused="watchers")
        self._ended = asyncio.Event()

    async def changes(self, interval_seconds: float) -> AsyncGenerator[tuple[Totals, Sequence[NumberMeasures]], None]:
        """The totals and the busiest numbers, then at each change the totals and the numbers that are new or changed.

        Raises IntervalOutOfRange, TooManyWatchers, and what the look at the account raises.
        """
        if not MIN_INTERVAL_SECONDS <= interval_seconds <= MAX_INTERVAL_SECONDS:
            raise IntervalOutOfRange(interval_seconds, MIN_INTERVAL_SECONDS, MAX_INTERVAL_SECONDS)
        with self._counted():
            seen = await self._look()
            yield seen.totals, seen.numbers
            while not await self._ends_within(interval_seconds):
                now = await self._look()
                if now.totals != seen.totals or now.numbers != seen.numbers:
                    known = {number.n: number for number in seen.numbers}
                    yield now.totals, [number for number in now.numbers if known.get(number.n) != number]
                seen = now

    def end(self) -> None:
        """Ends the changes of every watcher, which a drain would wait for to its limit."""
        self._ended.set()

    async def _ends_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        return self._ended.is_set()

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        if self.watching >= self._limit:
            self.refusals.count()
            raise TooManyWatchers(self._limit)
        self.watching += 1
        try:
            yield
        finally:
            self.watching -= 1
