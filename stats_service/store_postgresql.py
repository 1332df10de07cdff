"""Opens the account in a PostgreSQL database, which several stats_service may share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from service_kit.lifecycle import CannotStart
from stats_service import schema
from stats_service.store import Bounds, Clock
from stats_service.store_sql import SqlStore

#: Held while the tables are brought up to date, so that replicas that start at once do it one after the other.
_UPGRADE_LOCK = 0x66696273
#: How long a connection may take, to be made or to be free.
_CONNECT_SECONDS = 5.0
_DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError)


@asynccontextmanager
async def open_postgresql(url: str, *, clock: Clock, bounds: Bounds) -> AsyncIterator[SqlStore]:
    """Connects, and makes the tables in an empty database. Raises CannotStart."""
    engine = _engine(url)
    try:
        await _prepare(engine)
        yield SqlStore(engine=engine, driver_errors=_DRIVER_ERRORS, clock=clock, bounds=bounds)
    finally:
        await engine.dispose()


async def _prepare(engine: AsyncEngine) -> None:
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
            await connection.run_sync(schema.upgrade, without_version=None)
    except (OSError, SQLAlchemyError, schema.SchemaForeign, *_DRIVER_ERRORS) as error:
        where = engine.url.render_as_string(hide_password=True)
        cause = getattr(error, "orig", None) or error
        raise CannotStart(f"STATS_DATABASE_URL: cannot use {where}: {cause or type(cause).__name__}") from None


def _engine(url: str) -> AsyncEngine:
    try:
        return create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            connect_args={"timeout": _CONNECT_SECONDS},
            pool_timeout=_CONNECT_SECONDS,
        )
    except ArgumentError:
        raise CannotStart("STATS_DATABASE_URL: must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE") from None
