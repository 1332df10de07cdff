"""The account in SQLite or PostgreSQL, over SQLAlchemy Core."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import reduce

import structlog
from sqlalchemy import Table, delete, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from stats_service import tables
from stats_service.batch import ALL, FOLDED, Batch
from stats_service.errors import NumberUnknown, StoreUnavailable
from stats_service.measures import Measures, MinuteTotals, NumberMeasures
from stats_service.paging import PageRequest
from stats_service.queries import busiest, count_numbers, least_used, measured, page_of_numbers
from stats_service.store import FOLDED_AT_ONCE, MINUTES_KEPT, Bounds, Clock, Tidied, transaction_durations
from stats_service.summary import Page, Totals
from stats_service.uncancelled import uncancelled
from stats_service.upserts import (
    Row,
    Upserts,
    advance_source,
    bucket_rows,
    error_rows,
    measured_row,
    minute_row,
    parameters,
)

log = structlog.get_logger()

#: So few rows are counted whenever a page is read; counting a million takes 20 ms, so more are counted now and then.
COUNTED_ALWAYS = 10_000
COUNTED_EVERY_SECONDS = 10.0
#: The most of a database's error that is logged.
MAX_LOGGED = 300


class SqlStore:
    """Keeps the account in a database; what was answered is on its disk.

    Several processes may use one PostgreSQL. SQLite has one writer: waiting for it here is cheaper than for its lock.
    """

    def __init__(
        self, *, engine: AsyncEngine, driver_errors: tuple[type[Exception], ...], clock: Clock, bounds: Bounds
    ) -> None:
        self._on_server = on_server = engine.dialect.name == "postgresql"
        self._reads = engine.execution_options(isolation_level="REPEATABLE READ") if on_server else engine
        # A reader that turns into a writer may be refused by SQLite, so a writer is one from its first statement on.
        self._writes = engine if on_server else engine.execution_options(begin="IMMEDIATE")
        self._one_writer = contextlib.nullcontext() if on_server else asyncio.Lock()
        self._failures: tuple[type[Exception], ...] = (SQLAlchemyError, OSError, *driver_errors)
        self._clock = clock
        self._bounds = bounds
        self._upserts = Upserts.of(engine.dialect)
        self._advance_source = advance_source(engine.dialect)
        self._with_histogram: set[int] = set()
        self.numbers = 0
        self.folded = self.failures = 0
        self.transactions = transaction_durations()
        self._rows_counted_at = float("-inf")
        self._rows_at_most = 0

    @uncancelled
    async def record(self, batch: Batch) -> bool:
        now = self._clock()
        added = batch.measures(now)
        if not await self._apply(batch, added, now):
            return False
        with contextlib.suppress(StoreUnavailable):  # the batch is applied; what could not be folded is at the next
            await self._fold_when_full(len(added))
        return True

    @uncancelled
    async def page(self, request: PageRequest) -> Page:
        async with self._reading() as connection:
            rows = (await connection.execute(page_of_numbers(request))).all()
            together = {row.n: row for row in await connection.execute(select(tables.totals))}
            operations = await connection.execute(select(tables.operations).order_by(tables.operations.c.operation))
            found = await measured(connection, [*rows[: request.size], *together.values()])
            number_of_rows = await self._count(connection)
        totals = Totals(
            all=found.get(ALL, Measures()),
            numbers=number_of_rows,
            folded=found.get(FOLDED, Measures()),
            operations=dict(operations.all()),
        )
        numbers = [NumberMeasures(row.n, found[row.n]) for row in rows[: request.size]]
        return Page(totals, numbers, more=len(rows) > request.size)

    @uncancelled
    async def number(self, n: int) -> NumberMeasures:
        async with self._reading() as connection:
            rows = (await connection.execute(select(tables.numbers).where(tables.numbers.c.n == n))).all()
            found = await measured(connection, rows)
        if n not in found:
            raise NumberUnknown(n)
        return NumberMeasures(n, found[n])

    @uncancelled
    async def minutes(self) -> Sequence[MinuteTotals]:
        kept = select(tables.minutes).where(tables.minutes.c.minute > self._oldest_minute())
        async with self._reading() as connection:
            rows = await connection.execute(kept.order_by(tables.minutes.c.minute))
            return [MinuteTotals(*row) for row in rows]

    async def tidy(self) -> Tidied:
        sources = await self._forget()
        folded = 0
        while some := await self._fold_some():
            folded += some
        await self._leave_histograms_to_the_busiest()
        return Tidied(sources=sources, folded=folded)

    async def _apply(self, batch: Batch, added: Sequence[NumberMeasures], now: float) -> bool:
        async with self._writing() as connection:
            if batch.source and not await self._advance(connection, batch, now):
                return False
            if added:
                await self._add(connection, added)
                await _execute(connection, self._upserts.minutes, [minute_row(batch.minute(now))])
            operations = [(operation.operation, operation.count) for operation in batch.operations]
            await _execute(connection, self._upserts.operations, operations)
            return True

    async def _advance(self, connection: AsyncConnection, batch: Batch, now: float) -> bool:
        row = {"source": batch.source, "sequence": batch.sequence, "last_seen": now}
        return (await connection.execute(self._advance_source, row)).rowcount == 1

    async def _add(self, connection: AsyncConnection, added: Sequence[NumberMeasures]) -> None:
        upserts = self._upserts
        rows = [measured_row(number) for number in added]
        await _execute(connection, upserts.numbers, [row for row in rows if row[0] >= 0])
        await _execute(connection, upserts.totals, [row for row in rows if row[0] < 0])
        await _execute(connection, upserts.errors, error_rows(added))
        await _execute(connection, upserts.buckets, bucket_rows([each for each in added if self._keeps(each.n)]))

    def _keeps(self, n: int) -> bool:
        """Whether a histogram is kept for it."""
        if n in self._with_histogram or n == ALL:
            return True
        if n < 0 or len(self._with_histogram) >= self._bounds.max_histograms:
            return False
        self._with_histogram.add(n)
        return True

    @uncancelled
    async def _forget(self) -> int:
        """Forgets silent sources and old minutes, and returns how many sources."""
        silent = tables.sources.c.last_seen < self._clock() - self._bounds.source_retention_seconds
        old = tables.minutes.c.minute <= self._oldest_minute()
        async with self._writing() as connection:
            sources = (await connection.execute(delete(tables.sources).where(silent))).rowcount
            await connection.execute(delete(tables.minutes).where(old))
            return sources

    @uncancelled
    async def _leave_histograms_to_the_busiest(self) -> None:
        kept = busiest(self._bounds.max_histograms)
        bucket = tables.buckets.c
        async with self._writing() as connection:
            await self._lock(connection, tables.buckets)
            self._with_histogram = set(await connection.scalars(kept))
            await connection.execute(delete(tables.buckets).where(bucket.n >= 0, bucket.n.not_in(kept)))

    async def _fold_when_full(self, added: int) -> None:
        self._rows_at_most += added
        if self._rows_at_most < self._bounds.full:
            return
        await self._count_rows()
        if self._rows_at_most >= self._bounds.full:
            await self._fold_some()

    async def _count_rows(self) -> None:
        async with self._reading() as connection:
            self._rows_at_most = await count_numbers(connection)

    @uncancelled
    async def _fold_some(self) -> int:
        """Folds what is beyond the bound, but no more than a batch may bring; returns how many that was."""
        async with self._writing() as connection:
            await self._lock(connection, tables.numbers)
            rows = await count_numbers(connection)
            excess = max(0, min(rows - self._bounds.max_numbers, FOLDED_AT_ONCE))
            if excess:
                await self._fold_least_used(connection, excess)
        self.numbers = self._rows_at_most = rows - excess
        self.folded += excess
        return excess

    async def _fold_least_used(self, connection: AsyncConnection, limit: int) -> None:
        rows = (await connection.execute(least_used(limit))).all()
        indices = [row.n for row in rows]
        together = reduce(Measures.merged, (await measured(connection, rows)).values())
        for table in (tables.errors, tables.buckets, tables.numbers):
            await connection.execute(delete(table).where(table.c.n.in_(indices)))
        await self._add(connection, [NumberMeasures(FOLDED, together.without_histogram())])

    async def _lock(self, connection: AsyncConnection, table: Table) -> None:
        """Until the end of the transaction no replica writes to the table, and none waits for another in a ring."""
        if self._on_server:
            await connection.execute(text(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE"))

    async def _count(self, connection: AsyncConnection) -> int:
        stale = time.monotonic() - self._rows_counted_at > COUNTED_EVERY_SECONDS
        if stale or self.numbers <= COUNTED_ALWAYS:
            self.numbers = await count_numbers(connection)
            self._rows_counted_at = time.monotonic()
        return self.numbers

    def _oldest_minute(self) -> int:
        return int(self._clock() // 60) - MINUTES_KEPT

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        """One transaction."""
        with self._told("write"):
            async with self._one_writer, self._writes.begin() as connection:
                yield connection

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        """One moment of the account, however many statements read it."""
        with self._told("read"):
            async with self._reads.begin() as connection:
                yield connection

    @contextlib.contextmanager
    def _told(self, kind: str) -> Iterator[None]:
        """Whatever the database says, the caller may try again: a batch that was applied after all is then a repeat."""
        began = time.perf_counter()
        try:
            yield
            self.transactions.observe((kind,), time.perf_counter() - began)
        except self._failures as error:
            self.failures += 1
            cause = getattr(error, "orig", None) or error
            log.warning("store.unavailable", error=f"{type(cause).__name__}: {cause}"[:MAX_LOGGED])
            raise StoreUnavailable from error


async def _execute(connection: AsyncConnection, statement: str, rows: Sequence[Row]) -> None:
    if rows:
        await connection.exec_driver_sql(statement, parameters(rows, connection.dialect))
