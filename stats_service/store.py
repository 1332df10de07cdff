"""Where the account is kept: the interface that every store has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from service_kit.metrics import Histogram, Histograms
from stats_service.batch import Batch
from stats_service.measures import MinuteTotals, NumberMeasures
from stats_service.paging import PageRequest
from stats_service.summary import Page

#: The time of day in seconds since the epoch, as `time.time` gives it.
Clock = Callable[[], float]

#: Numbers that are folded in one go, so that records need not wait for all of them; no batch brings more.
FOLDED_AT_ONCE = 1_000
#: How long the totals of a minute are kept.
MINUTES_KEPT = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What keeps the account from growing without end.

    Between two tidyings the rows may be more than `max_numbers`, by one in twenty or a batch. Histograms are kept for
    the `max_histograms` busiest numbers as of the last tidying, and for as many newer ones as there is room for.
    """

    max_numbers: int = 1_000_000
    max_histograms: int = 10_000
    source_retention_seconds: float = 86_400.0

    @property
    def full(self) -> int:
        """So many rows are folded at once, not at the next tidying."""
        return self.max_numbers + max(1_000, self.max_numbers // 20)


@dataclass(frozen=True, slots=True)
class Tidied:
    """What was put away."""

    sources: int
    folded: int


def transaction_durations() -> Histograms:
    """Of the two kinds, which are told from the start."""
    durations = Histograms()
    durations["read",], durations["write",] = Histogram(), Histogram()
    return durations


class StatsStore(Protocol):
    """Keeps what was recorded. Every store behaves as tests/stats_service/test_store.py says.

    A store that cannot be reached or written raises StoreUnavailable, and then has applied nothing.

    `numbers` have a row of their own, as counted last; that is at each tidying or later. `folded` lost theirs since
    the store was opened. `transactions` have their durations by "read" and "write", with the wait for their turn; of
    those that the database did not do there were `failures`.
    """

    folded: int
    failures: int
    transactions: Histograms

    @property
    def numbers(self) -> int: ...

    async def record(self, batch: Batch) -> bool:
        """Applies a batch whole, and returns True; False for a repeat, which changes nothing.

        A batch repeats when its sequence is not above the last one of its source.
        """
        ...

    async def page(self, request: PageRequest) -> Page:
        """The totals and some of the numbers, of one moment."""
        ...

    async def number(self, n: int) -> NumberMeasures:
        """One number. Raises NumberUnknown."""
        ...

    async def minutes(self) -> Sequence[MinuteTotals]:
        """Those of the last 24 hours in which anything was recorded, the oldest first."""
        ...

    async def tidy(self) -> Tidied:
        """Keeps the account within its bounds: forgets silent sources and old minutes, but no count.

        The least used numbers beyond the bound are folded into one row.
        """
        ...
