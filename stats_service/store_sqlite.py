"""Opens the account in one SQLite file, or refuses to where it is not ours or damaged."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from service_kit.lifecycle import CannotStart
from stats_service import schema
from stats_service.store import Bounds, Clock
from stats_service.store_sql import SqlStore

#: Marks a SQLite file as this service's: "fibs".
APPLICATION_ID = 0x66696273
#: The version in which a file has tables and no version in a table; releases before alembic made it.
_WITHOUT_VERSION = "0001"
#: How long a writer waits for another process's lock before the batch fails and is sent again.
_BUSY_MS = 5_000
# Of several processes that change a new file to WAL at once all but one are told that it is locked, without a wait.
_WHEN_NOT_LOCKED = Retrying(
    retry=retry_if_exception(lambda error: getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY),
    wait=wait_random(0.001, 0.02),
    stop=stop_after_delay(_BUSY_MS / 1000),
    reraise=True,
)


@asynccontextmanager
async def open_sqlite(path: Path, *, clock: Clock, bounds: Bounds) -> AsyncIterator[SqlStore]:
    """Opens the file, or makes it with its folder. Raises CannotStart, and then leaves the file as it was."""
    with _cannot_start(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # With the plain driver: the asynchronous one leaves a thread behind when it cannot open a file.
        check(path)
    engine = create_async_engine(URL.create("sqlite+aiosqlite", database=str(path)))
    event.listen(engine.sync_engine, "connect", _configure)
    event.listen(engine.sync_engine, "begin", _begin)
    try:
        with _cannot_start(path):
            async with engine.execution_options(begin="IMMEDIATE").begin() as connection:
                await connection.run_sync(_prepare)
        yield SqlStore(engine=engine, driver_errors=(sqlite3.Error,), clock=clock, bounds=bounds)
    finally:
        await engine.dispose()


def check(path: Path) -> None:
    """Raises sqlite3.Error or SchemaForeign where the file is not a sound database of ours; reads it all, once.

    A file that is not there yet is made, and empty.
    """
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("BEGIN")  # of one moment, because another process may be making the tables
        if is_empty(connection):
            return
        [application_id] = connection.execute("PRAGMA application_id").fetchone()
        [version] = connection.execute("PRAGMA user_version").fetchone()
        if application_id != APPLICATION_ID:
            raise schema.SchemaForeign("it is a database of another application")
        if version > int(schema.HEAD):
            raise schema.SchemaForeign(f"its schema is version {version}; this release knows up to {int(schema.HEAD)}")
        [fault] = connection.execute("PRAGMA quick_check(1)").fetchone()
        if fault != "ok":
            raise schema.SchemaForeign(f"it is damaged: {fault.splitlines()[-1]}")


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether the database has no table at all, as a new file has none."""
    [entries] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return not entries


@contextlib.contextmanager
def _cannot_start(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error, SQLAlchemyError, schema.SchemaForeign) as error:
        cause = getattr(error, "orig", None) or error
        raise CannotStart(f"STATS_DATABASE_URL: cannot use {path}: {cause}") from None


def _configure(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy begins transactions, not the driver
    cursor = connection.cursor()
    # In WAL mode readers and the writer do not wait for each other. FULL: an acknowledged batch is on the disk, also
    # after a power cut.
    for pragma in (f"busy_timeout={_BUSY_MS}", "journal_mode=WAL", "synchronous=FULL"):
        _WHEN_NOT_LOCKED.copy()(cursor.execute, f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('begin', 'DEFERRED')}")


def _prepare(connection: Connection) -> None:
    schema.upgrade(connection, without_version=_WITHOUT_VERSION)
    connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.exec_driver_sql(f"PRAGMA user_version = {int(schema.HEAD)}")
