"""The account in this process, which loses it with the process."""

from collections.abc import Sequence

from stats_service.batch import ALL, FOLDED, Batch
from stats_service.errors import NumberUnknown
from stats_service.measures import MOST, Measures, MinuteTotals, NumberMeasures
from stats_service.paging import Order, PageRequest
from stats_service.store import FOLDED_AT_ONCE, MINUTES_KEPT, Bounds, Clock, Tidied, transaction_durations
from stats_service.summary import Page, Totals


class MemoryStore:
    """The plainest store, against which the others are tested. Reading a page sorts every number."""

    def __init__(self, *, clock: Clock, bounds: Bounds) -> None:
        self._clock = clock
        self._bounds = bounds
        self._numbers: dict[int, Measures] = {}
        self._together: dict[int, Measures] = {}
        self._operations: dict[int, int] = {}
        self._minutes: dict[int, MinuteTotals] = {}
        self._sources: dict[str, tuple[int, float]] = {}
        self._with_histogram: set[int] = set()
        self.folded = self.failures = 0
        self.transactions = transaction_durations()

    @property
    def numbers(self) -> int:
        return len(self._numbers)

    async def record(self, batch: Batch) -> bool:
        now = self._clock()
        if batch.source and not self._advance(batch.source, batch.sequence, now):
            return False
        added = batch.measures(now)
        for number in added:
            self._add(number)
        if added:
            self._add_minute(batch.minute(now))
        for operation in batch.operations:
            count = self._operations.get(operation.operation, 0) + operation.count
            self._operations[operation.operation] = min(MOST, count)
        if len(self._numbers) >= self._bounds.full:
            self._fold_some()
        return True

    async def page(self, request: PageRequest) -> Page:
        order = request.order
        ranked = sorted(
            (NumberMeasures(n, measures) for n, measures in self._numbers.items()),
            key=lambda number: order.key(number.measures.count, number.n),
        )
        if request.after is not None:
            after = order.key(request.after.count, request.after.n)
            ranked = [number for number in ranked if order.key(number.measures.count, number.n) > after]
        totals = Totals(
            all=self._together.get(ALL, Measures()),
            numbers=len(self._numbers),
            folded=self._together.get(FOLDED, Measures()),
            operations=dict(sorted(self._operations.items())),
        )
        return Page(totals, ranked[: request.size], more=len(ranked) > request.size)

    async def number(self, n: int) -> NumberMeasures:
        if n not in self._numbers:
            raise NumberUnknown(n)
        return NumberMeasures(n, self._numbers[n])

    async def minutes(self) -> Sequence[MinuteTotals]:
        oldest = self._oldest_minute()
        return [self._minutes[minute] for minute in sorted(self._minutes) if minute > oldest]

    async def tidy(self) -> Tidied:
        oldest = self._clock() - self._bounds.source_retention_seconds
        silent = [source for source, (_, seen) in self._sources.items() if seen < oldest]
        for source in silent:
            del self._sources[source]
        for minute in [minute for minute in self._minutes if minute <= self._oldest_minute()]:
            del self._minutes[minute]
        folded = 0
        while some := self._fold_some():
            folded += some
        self._leave_histograms_to_the_busiest()
        return Tidied(sources=len(silent), folded=folded)

    def _add(self, number: NumberMeasures) -> None:
        if number.n == ALL:
            self._together[ALL] = _merged(self._together.get(ALL), number.measures)
            return
        measures = number.measures
        if not self._keeps_histogram(number.n):
            measures = measures.without_histogram()
        self._numbers[number.n] = _merged(self._numbers.get(number.n), measures)

    def _keeps_histogram(self, n: int) -> bool:
        if len(self._with_histogram) < self._bounds.max_histograms:
            self._with_histogram.add(n)
        return n in self._with_histogram

    def _add_minute(self, minute: MinuteTotals) -> None:
        known = self._minutes.get(minute.minute)
        self._minutes[minute.minute] = minute if known is None else known.merged(minute)

    def _fold_some(self) -> int:
        """Folds what is beyond the bound, but no more than a batch may bring; returns how many that was."""
        folding = self._busiest_first()[self._bounds.max_numbers :][-FOLDED_AT_ONCE:]
        for n in folding:
            self._together[FOLDED] = _merged(self._together.get(FOLDED), self._numbers.pop(n).without_histogram())
        self.folded += len(folding)
        return len(folding)

    def _leave_histograms_to_the_busiest(self) -> None:
        self._with_histogram = set(self._busiest_first()[: self._bounds.max_histograms])
        for n in self._numbers.keys() - self._with_histogram:
            self._numbers[n] = self._numbers[n].without_histogram()

    def _busiest_first(self) -> list[int]:
        return sorted(self._numbers, key=lambda n: Order.BUSIEST.key(self._numbers[n].count, n))

    def _advance(self, source: str, sequence: int, now: float) -> bool:
        last, _ = self._sources.get(source, (0, 0.0))
        if sequence <= last:
            return False
        self._sources[source] = (sequence, now)
        return True

    def _oldest_minute(self) -> int:
        return int(self._clock() // 60) - MINUTES_KEPT


def _merged(known: Measures | None, added: Measures) -> Measures:
    return added if known is None else known.merged(added)
