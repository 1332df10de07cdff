"""Where the account is kept: the interface, and the adapter that keeps it in memory."""

from collections.abc import Callable
from typing import Protocol

from stats_service.summary import Batch, NumberTotals, Summary, summarize

#: The time of day in seconds since the epoch, as `time.time` gives it.
Clock = Callable[[], float]


class StatsStore(Protocol):
    """Keeps what was recorded. Every store behaves as tests/stats_service/test_store.py says."""

    async def record(self, batch: Batch) -> bool:
        """Applies a batch whole, and returns True; False for a repeat, which changes nothing.

        A batch repeats when its sequence is not above the last one of its source.
        """
        ...

    async def summary(self, *, limit: int) -> Summary:
        """The totals and at most `limit` of the busiest numbers."""
        ...

    async def forget_sources(self, *, idle_seconds: float) -> int:
        """Forgets the sources that sent nothing for so long, and returns how many; their counts stay."""
        ...


class MemoryStore:
    """Keeps everything in this process and loses it with the process."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._numbers: dict[int, NumberTotals] = {}
        self._sources: dict[str, tuple[int, float]] = {}

    async def record(self, batch: Batch) -> bool:
        if batch.source and not self._advance(batch.source, batch.sequence):
            return False
        for record in batch.records:
            known = self._numbers.get(record.n)
            self._numbers[record.n] = record if known is None else known.merged(record)
        return True

    async def summary(self, *, limit: int) -> Summary:
        return summarize(self._numbers.values(), limit=limit)

    async def forget_sources(self, *, idle_seconds: float) -> int:
        oldest = self._clock() - idle_seconds
        idle = [source for source, (_, seen) in self._sources.items() if seen < oldest]
        for source in idle:
            del self._sources[source]
        return len(idle)

    def _advance(self, source: str, sequence: int) -> bool:
        last, _ = self._sources.get(source, (0, 0.0))
        if sequence <= last:
            return False
        self._sources[source] = (sequence, self._clock())
        return True
