"""What holds for the file alone; how every store behaves is in test_store.py."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, text

from service_kit.lifecycle import CannotStart
from stats_service.store_sql import APPLICATION_ID, SCHEMA_VERSION, SqlStore, open_sqlite
from stats_service.summary import Batch, NumberTotals, Summary

TEN = NumberTotals(10, 3, 1, 300, 50, 150)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stats.sqlite3"


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection, connection:
        yield connection


def content(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def batch(sequence: int) -> Batch:
    return Batch((TEN,), source="life-1", sequence=sequence)


async def refusal(path: Path) -> str:
    with pytest.raises(CannotStart) as caught:
        async with open_sqlite(path):
            pass
    assert str(caught.value).startswith("STATS_DATABASE_URL: ")
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


async def test_the_account_and_the_sources_survive_reopening(path: Path) -> None:
    async with open_sqlite(path) as store:
        await store.record(batch(5))

    async with open_sqlite(path) as store:
        assert await store.summary(limit=10) == Summary(3, 1, [TEN])
        assert not await store.record(batch(5))
        assert await store.record(batch(6))


async def test_the_folder_of_the_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "stats.sqlite3"
    async with open_sqlite(path):
        pass

    assert path.is_file()


@pytest.mark.parametrize("name", ["a b.sqlite3", "fünf.sqlite3", "a#b", "a?b", "a%20b"])
async def test_the_file_has_exactly_the_name_that_was_asked_for(tmp_path: Path, name: str) -> None:
    async with open_sqlite(tmp_path / name) as store:
        await store.record(batch(1))

    assert files(tmp_path) == [name]


async def test_what_is_acknowledged_is_on_the_disk_and_readers_do_not_wait(path: Path) -> None:
    full = 2
    async with open_sqlite(path) as store, store._engine.connect() as first, store._engine.connect() as second:
        for connection in (first, second):
            assert (await connection.execute(text("PRAGMA journal_mode"))).scalar_one() == "wal"
            assert (await connection.execute(text("PRAGMA synchronous"))).scalar_one() == full


async def test_a_batch_is_in_the_file_once_it_is_acknowledged(path: Path) -> None:
    async with open_sqlite(path) as store:
        await store.record(batch(1))

        with connected(path) as reader:
            assert reader.execute("SELECT n, count, cache_hits FROM numbers").fetchall() == [(10, 3, 1)]
            assert reader.execute("SELECT source, sequence FROM sources").fetchall() == [("life-1", 1)]


async def test_a_batch_that_cannot_be_applied_whole_leaves_nothing(path: Path) -> None:
    too_large = NumberTotals(20, 2**63, 0, 0, 0, 0)
    async with open_sqlite(path) as store:
        with pytest.raises(OverflowError):
            await store.record(Batch((TEN, too_large), source="life-1", sequence=1))

        assert await store.summary(limit=10) == Summary(0, 0, [])
        assert await store.record(batch(1))


async def test_a_second_writer_of_the_file_is_waited_for(path: Path) -> None:
    async with open_sqlite(path) as store, open_sqlite(path) as other:
        batches = [Batch((TEN,), source=f"life-{number}", sequence=1) for number in range(20)]

        await asyncio.gather(*(writer.record(batch) for batch in batches for writer in (store, other)))

        assert (await store.summary(limit=1)).total_requests == 20 * TEN.count


async def test_a_summary_is_of_one_moment(path: Path) -> None:
    async with open_sqlite(path) as store:
        await store.record(batch(1))
        record_between_the_statements_of(store, path)

        summary = await store.summary(limit=10)

        assert summary.total_requests == sum(number.count for number in summary.numbers)


def record_between_the_statements_of(store: SqlStore, path: Path) -> None:
    """Another process records between two statements of the summary that is read next."""

    @event.listens_for(store._engine.sync_engine, "after_cursor_execute", once=True)
    def record(*_facts: object) -> None:
        with connected(path) as writer:
            writer.execute("UPDATE totals SET requests = requests + 1")
            writer.execute("UPDATE numbers SET count = count + 1")


async def test_the_file_says_whose_it_is_and_of_which_version(path: Path) -> None:
    async with open_sqlite(path):
        pass

    with connected(path) as file:
        assert file.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert file.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


async def test_a_newer_schema_is_refused(path: Path) -> None:
    async with open_sqlite(path):
        pass
    with connected(path) as file:
        file.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")

    assert f"version {SCHEMA_VERSION + 1}" in await refusal(path)


async def test_a_database_of_another_application_is_refused_and_not_touched(path: Path) -> None:
    with connected(path) as file:
        file.execute("CREATE TABLE theirs (x)")
    before = content(path)

    assert "another application" in await refusal(path)

    assert content(path) == before
    assert files(path.parent) == [path.name]


async def test_a_file_that_is_no_database_is_refused_and_not_touched(path: Path) -> None:
    before = b"no database at all" * 1_000
    write(path, before)

    assert "not a database" in await refusal(path)

    assert content(path) == before


async def test_a_folder_in_place_of_the_file_is_refused_and_leaves_no_thread_behind(tmp_path: Path) -> None:
    before = set(threading.enumerate())

    await refusal(tmp_path)

    left_behind = set(threading.enumerate()) - before
    for thread in left_behind:
        thread.join()
    assert left_behind == set()


async def test_a_file_in_place_of_the_folder_is_refused(path: Path) -> None:
    write(path, b"")

    await refusal(path / "stats.sqlite3")
