"""The account in SQLite, over SQLAlchemy Core."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Column, Float, Integer, MetaData, String, Table, event, func, select, text, true
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import URL, Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from service_kit.lifecycle import CannotStart
from stats_service.store import Clock
from stats_service.summary import Batch, NumberTotals, Summary

#: Marks a SQLite file as this service's ("fibs"), and the version of its tables.
APPLICATION_ID = 0x66696273
SCHEMA_VERSION = 1

_metadata = MetaData()

_numbers = Table(
    "numbers",
    _metadata,
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
    Column("cache_hits", BigInteger, nullable=False),
    Column("total_ns", BigInteger, nullable=False),
    Column("min_ns", BigInteger, nullable=False),
    Column("max_ns", BigInteger, nullable=False),
)

# One row, so that the totals need no pass over a million numbers.
_totals = Table(
    "totals",
    _metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("requests", BigInteger, nullable=False),
    Column("cache_hits", BigInteger, nullable=False),
)

_sources = Table(
    "sources",
    _metadata,
    Column("source", String(64), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("last_seen", Float, nullable=False),
)


class SqlStore:
    """Keeps the account in one SQLite file; what was answered is on disk."""

    def __init__(self, *, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        # SQLite has one writer; waiting here is cheaper than waiting for its file lock.
        self._writing = asyncio.Lock()

    async def record(self, batch: Batch) -> bool:
        async with self._writing, self._engine.begin() as connection:
            if batch.source and not await self._advance(connection, batch):
                return False
            await connection.execute(_ADD_NUMBERS, [_row(record) for record in batch.records])
            await connection.execute(_ADD_TOTALS, _totals_row(batch))
            return True

    async def summary(self, *, limit: int) -> Summary:
        # One statement, so that the totals and the numbers are of one moment.
        busiest = (
            select(_totals.c.requests, _totals.c.cache_hits, _numbers)
            .join_from(_totals, _numbers, true())
            .order_by(_numbers.c.count.desc(), _numbers.c.n)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(busiest)).all()
        requests, cache_hits = rows[0][:2] if rows else (0, 0)
        return Summary(requests, cache_hits, [NumberTotals(*row[2:]) for row in rows])

    async def forget_sources(self, *, idle_seconds: float) -> int:
        async with self._writing, self._engine.begin() as connection:
            idle = _sources.c.last_seen < self._clock() - idle_seconds
            return (await connection.execute(_sources.delete().where(idle))).rowcount

    async def _advance(self, connection: AsyncConnection, batch: Batch) -> bool:
        row = {"source": batch.source, "sequence": batch.sequence, "last_seen": self._clock()}
        return (await connection.execute(_ADVANCE_SOURCE, row)).rowcount == 1


@asynccontextmanager
async def open_sqlite(path: Path, *, clock: Clock = time.time) -> AsyncIterator[SqlStore]:
    """Opens the file, or makes it with its folder. Raises CannotStart where it is not ours to write."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check(path)
    except (OSError, sqlite3.Error, CannotStart) as error:
        raise CannotStart(f"STATS_DATABASE_URL: cannot use {path}: {error}") from None
    engine = create_async_engine(URL.create("sqlite+aiosqlite", database=str(path)))
    event.listen(engine.sync_engine, "connect", _configure)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_prepare)
        yield SqlStore(engine=engine, clock=clock)
    finally:
        await engine.dispose()


def _check(path: Path) -> None:
    """Raises sqlite3.Error or CannotStart where the file is no database of ours, and leaves it as it is.

    With the plain driver: the asynchronous one leaves a thread behind when it cannot open a file.
    """
    with contextlib.closing(sqlite3.connect(path)) as connection:
        [application_id] = connection.execute("PRAGMA application_id").fetchone()
        [version] = connection.execute("PRAGMA user_version").fetchone()
        [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application_id != APPLICATION_ID:
        raise CannotStart("it is a database of another application")
    if tables and version != SCHEMA_VERSION:
        raise CannotStart(f"its schema is version {version}; this release knows {SCHEMA_VERSION}")


def _configure(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    # FULL: an acknowledged batch is on the disk, also after a power cut.
    for pragma in ("synchronous=FULL", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare(connection: Connection) -> None:
    """Makes the tables of a new file. In WAL mode readers and the writer do not wait for each other."""
    connection.execute(text("PRAGMA journal_mode = WAL"))
    _metadata.create_all(connection)
    connection.execute(text(f"PRAGMA application_id = {APPLICATION_ID}"))
    connection.execute(text(f"PRAGMA user_version = {SCHEMA_VERSION}"))


def _add_numbers() -> Any:
    new = insert(_numbers)
    added, kept = new.excluded, _numbers.c
    return new.on_conflict_do_update(
        index_elements=[kept.n],
        set_={
            "count": kept.count + added.count,
            "cache_hits": kept.cache_hits + added.cache_hits,
            "total_ns": kept.total_ns + added.total_ns,
            "min_ns": func.min(kept.min_ns, added.min_ns),
            "max_ns": func.max(kept.max_ns, added.max_ns),
        },
    )


def _add_totals() -> Any:
    new = insert(_totals)
    return new.on_conflict_do_update(
        index_elements=[_totals.c.id],
        set_={
            "requests": _totals.c.requests + new.excluded.requests,
            "cache_hits": _totals.c.cache_hits + new.excluded.cache_hits,
        },
    )


def _advance_source() -> Any:
    new = insert(_sources)
    return new.on_conflict_do_update(
        index_elements=[_sources.c.source],
        set_={"sequence": new.excluded.sequence, "last_seen": new.excluded.last_seen},
        where=_sources.c.sequence < new.excluded.sequence,
    )


_ADD_NUMBERS = _add_numbers()
_ADD_TOTALS = _add_totals()
_ADVANCE_SOURCE = _advance_source()


def _row(record: NumberTotals) -> dict[str, int]:
    return {column: getattr(record, column) for column in NumberTotals.__slots__}


def _totals_row(batch: Batch) -> dict[str, int]:
    hits = sum(record.cache_hits for record in batch.records)
    return {"id": 1, "requests": batch.count, "cache_hits": hits}
