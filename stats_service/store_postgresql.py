"""Opens the account in a PostgreSQL database, which several stats_service may share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from service_kit.lifecycle import CannotStart
from service_kit.settings import without_password
from stats_service import schema
from stats_service.store import Bounds, Clock
from stats_service.store_sql import SqlStore

#: Held while the tables are brought up to date, so that replicas that start at once do it one after the other.
_UPGRADE_LOCK = 0x66696273
#: How long a connection may take, to be made or to be free.
_CONNECT_SECONDS = 5.0
#: How long a statement may take. A server that hangs, or whose machine is gone, is given up then; the slowest that is
#: asked for, counting 100 million numbers, takes less.
_STATEMENT_SECONDS = 20.0
_DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError)


@asynccontextmanager
async def open_postgresql(url: str, *, clock: Clock, bounds: Bounds) -> AsyncIterator[SqlStore]:
    """Connects, and makes the tables in an empty database. Raises CannotStart."""
    engine = _engine(url)
    try:
        await _prepare(engine, url)
        yield SqlStore(engine=engine, driver_errors=_DRIVER_ERRORS, clock=clock, bounds=bounds)
    finally:
        await engine.dispose()


async def _prepare(engine: AsyncEngine, url: str) -> None:
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
            await connection.run_sync(schema.upgrade, without_version=None)
    except (OSError, ValueError, SQLAlchemyError, schema.SchemaForeign, *_DRIVER_ERRORS) as error:
        cause = getattr(error, "orig", None) or error
        why = str(cause).partition("\n")[0] or type(cause).__name__
        raise CannotStart(f"STATS_DATABASE_URL: cannot use {without_password(url)}: {why}") from None


def _engine(url: str) -> AsyncEngine:
    """The driver reads the URL itself: sslmode, several hosts and settings of the session are then as ever."""

    async def connect() -> Any:
        return await asyncpg.connect(url, timeout=_CONNECT_SECONDS, command_timeout=_STATEMENT_SECONDS)

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, pool_timeout=_CONNECT_SECONDS)
