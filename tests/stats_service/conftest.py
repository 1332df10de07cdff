import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from service_kit.grpc_channel import open_channel
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from stats_service import tables
from stats_service.app import running
from stats_service.settings import Settings
from stats_service.store import Bounds, StatsStore
from tests.postgres import Postgres
from tests.stats_service.accounts import Clock, opened

if TYPE_CHECKING:
    from service_kit.pb.stats.stats_pb2_grpc import StatsAsyncStub

#: Opens a store with such bounds, until the test ends; every one of a test is over the same database.
OpenStore = Callable[..., Awaitable[StatsStore]]


def settings_of(**changes: Any) -> Settings:
    return Settings(**{"listen_port": 0, "drain_delay_seconds": 0, "database_url": "memory:", **changes})


async def make_tables(database_url: str) -> None:
    async with opened(database_url, Clock()):
        pass


@pytest.fixture(scope="session")
def used_database(postgres: Postgres) -> str:
    """One database of PostgreSQL with the tables of the account, for tests that do not mind what was in them."""
    url = postgres.new_database()
    asyncio.run(make_tables(url))
    return url


@pytest.fixture
def emptied_database(postgres: Postgres, used_database: str) -> str:
    postgres.execute(f"TRUNCATE {', '.join(tables.metadata.tables)}", url=used_database)
    return used_database


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the tables of the account, to be copied: making them takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "stats.sqlite3"
    asyncio.run(make_tables(f"sqlite:///{path}"))
    return path


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of database, and empty."""
    if request.param == "memory":
        return "memory:"
    if request.param == "postgresql":
        return str(request.getfixturevalue("emptied_database"))
    return f"sqlite:///{shutil.copy(request.getfixturevalue('empty_file'), tmp_path)}"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def open_store(database_url: str, clock: Clock) -> AsyncIterator[OpenStore]:
    async with AsyncExitStack() as stack:

        async def open_store(**bounds: Any) -> StatsStore:
            return await stack.enter_async_context(opened(database_url, clock, Bounds(**bounds)))

        yield open_store


@pytest.fixture
async def store(open_store: OpenStore) -> StatsStore:
    return await open_store()


@pytest.fixture
async def stub() -> AsyncIterator["StatsAsyncStub"]:
    """A stub of a service that keeps its account in memory."""
    async with running(settings_of()) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield StatsStub(channel)


@pytest.fixture
async def stored_stub(database_url: str) -> AsyncIterator["StatsAsyncStub"]:
    """A stub over each kind of store."""
    async with running(settings_of(database_url=database_url)) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield StatsStub(channel)
