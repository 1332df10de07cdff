"""What holds for the file alone; how every store behaves is in test_store.py."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from stats_service import store_sql
from stats_service.errors import StoreUnavailable
from stats_service.records import OperationRecord
from stats_service.schema import HEAD
from stats_service.store_sql import SqlStore
from stats_service.store_sqlite import APPLICATION_ID
from tests.stats_service import accounts
from tests.stats_service.accounts import (
    DAY,
    Clock,
    answers,
    batch,
    counts,
    failures,
    page,
    record_numbers,
    totals,
)
from tests.stats_service.sqlite_files import connected, files, opened

TEN = answers(10, 3, 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stats.sqlite3"


async def test_the_account_and_the_sources_survive_reopening(path: Path) -> None:
    async with opened(path) as store:
        await store.record(batch(5, TEN, errors=[failures(10)], operations=[OperationRecord(1, 1)]))
        before, minutes = await page(store), await store.minutes()

    async with opened(path) as store:
        assert await page(store) == before
        assert await store.minutes() == minutes
        assert not await store.record(batch(5, TEN))
        assert await store.record(batch(6, TEN))


async def test_the_folder_of_the_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "stats.sqlite3"
    async with opened(path):
        pass

    assert path.is_file()


@pytest.mark.parametrize("name", ["a b.sqlite3", "fünf.sqlite3", "a#b", "a?b", "a%20b"])
async def test_the_file_has_exactly_the_name_that_was_asked_for(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path / name) as store:
        await store.record(batch(1, TEN))

    assert files(tmp_path) == [name]


async def test_what_is_acknowledged_is_on_the_disk_and_readers_do_not_wait(path: Path) -> None:
    full = 2
    async with opened(path) as store, store._reads.connect() as first, store._reads.connect() as second:
        for connection in (first, second):
            assert (await connection.execute(text("PRAGMA journal_mode"))).scalar_one() == "wal"
            assert (await connection.execute(text("PRAGMA synchronous"))).scalar_one() == full


async def test_a_batch_is_in_the_file_once_it_is_acknowledged(path: Path) -> None:
    async with opened(path) as store:
        await store.record(batch(1, TEN))

        with connected(path) as reader:
            assert reader.execute("SELECT n, count, cache_hits FROM numbers").fetchall() == [(10, 3, 1)]
            assert reader.execute("SELECT source, sequence FROM sources").fetchall() == [("life-1", 1)]


async def test_a_batch_that_cannot_be_applied_whole_leaves_nothing(path: Path) -> None:
    async with opened(path) as store:
        before = await page(store)
        with connected(path) as file:
            file.execute("ALTER TABLE operations RENAME TO elsewhere")
        with pytest.raises(StoreUnavailable):
            await store.record(batch(1, TEN, operations=[OperationRecord(1, 1)]))
        with connected(path) as file:
            file.execute("ALTER TABLE elsewhere RENAME TO operations")

        assert await page(store) == before
        assert await store.record(batch(1, TEN))


async def test_a_second_writer_of_the_file_is_waited_for(path: Path) -> None:
    async with opened(path) as store, opened(path) as other:
        batches = [batch(1, TEN, source=f"life-{number}") for number in range(20)]

        await asyncio.gather(*(writer.record(batch) for batch in batches for writer in (store, other)))

        assert (await totals(store)).all.count == 20 * TEN.count


async def test_a_page_is_of_one_moment(path: Path) -> None:
    async with opened(path) as store:
        await store.record(batch(1, TEN))
        record_between_the_statements_of(store, path)

        told = await page(store)

        assert told.totals.all.count == sum(number.measures.count for number in told.numbers) == 3


def record_between_the_statements_of(store: SqlStore, path: Path) -> None:
    """Another process records between two statements of the page that is read next."""

    @event.listens_for(store._reads.sync_engine, "after_cursor_execute")
    def record(_connection: Any, _cursor: Any, statement: str, *_facts: object) -> None:
        if "FROM numbers" in statement:
            with connected(path) as writer:
                writer.execute("UPDATE totals SET count = count + 1")
                writer.execute("UPDATE numbers SET count = count + 1")


async def test_nobody_writes_between_the_statements_of_a_fold(path: Path) -> None:
    kept_out: list[str] = []

    async with opened(path, max_numbers=1) as store:
        await store.record(batch(1, TEN, answers(20)))

        @event.listens_for(store._writes.sync_engine, "after_cursor_execute")
        def write(_connection: Any, _cursor: Any, statement: str, *_facts: object) -> None:
            if statement.startswith("SELECT count"):
                with (
                    closing(sqlite3.connect(path, timeout=0)) as other,
                    pytest.raises(sqlite3.OperationalError) as told,
                ):
                    other.execute("UPDATE numbers SET count = count + 1")
                kept_out.append(str(told.value))

        assert (await store.tidy()).folded == 1

    assert set(kept_out) == {"database is locked"}


async def test_a_batch_is_applied_also_where_nothing_can_be_folded(path: Path) -> None:
    async with opened(path, max_numbers=1) as store:
        await record_numbers(store, range(999))
        with connected(path) as file:
            file.execute("CREATE TRIGGER kept BEFORE DELETE ON numbers BEGIN SELECT RAISE(ABORT, 'kept'); END")

        assert await store.record(batch(1, *(answers(n) for n in range(2_000, 2_010))))

        assert (await totals(store)).numbers == 1_009
        with pytest.raises(StoreUnavailable):
            await store.tidy()
        with connected(path) as file:
            file.execute("DROP TRIGGER kept")
        assert (await store.tidy()).folded == 1_008


async def test_many_rows_are_counted_anew_after_a_while_whatever_becomes_of_the_time_of_day(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_sql, "COUNTED_ALWAYS", 2)
    monkeypatch.setattr(store_sql, "COUNTED_EVERY_SECONDS", 3_600)
    told: list[int] = []
    async with accounts.opened(f"sqlite:///{path}", clock) as store:
        for added in ([answers(1), answers(2)], [answers(3)], [answers(4)]):
            assert await store.record(batch(len(told) + 1, *added))
            clock.now += DAY
            told.append((await totals(store)).numbers)
        clock.now -= 7 * DAY
        monkeypatch.setattr(store_sql, "COUNTED_EVERY_SECONDS", 0)
        told.append((await totals(store)).numbers)

    assert told == [2, 3, 3, 4]


async def test_the_file_says_whose_it_is_and_of_which_version(path: Path) -> None:
    async with opened(path):
        pass

    with connected(path) as file:
        assert file.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert file.execute("PRAGMA user_version").fetchone() == (int(HEAD),)


async def test_a_full_disk_is_unavailable_and_once_there_is_room_the_same_batch_is_applied(path: Path) -> None:
    async with opened(path) as store:
        await store.record(batch(1, TEN))
        before = await page(store)
        [[pages]] = [connection_pages(path)]
        await limit_pages(store, pages)
        large = batch(2, *(answers(n, each_ns=n + 1) for n in range(1_000)))
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await store.record(large)

        assert await page(store) == before
        await limit_pages(store, 1_000_000)
        assert await store.record(large)
        assert not await store.record(large)
        assert (await totals(store)).all.count == 1_003


def connection_pages(path: Path) -> tuple[int]:
    with connected(path) as file:
        pages: tuple[int] = file.execute("PRAGMA page_count").fetchone()
        return pages


async def limit_pages(store: SqlStore, pages: int) -> None:
    """Each connection holds its own limit; one is all that this test uses."""
    async with store._reads.connect() as connection:
        await connection.execute(text(f"PRAGMA max_page_count = {pages}"))


#: Records until it is told that the file may grow no more, then on, and reports what each batch met.
CHILD = """
import asyncio, pathlib, resource, sys, time
from stats_service.batch import Batch
from stats_service import store_sql
from stats_service.errors import StoreUnavailable
from stats_service.records import single
from stats_service.store import Bounds
from stats_service.store_sqlite import open_sqlite

async def main(path):
    async with open_sqlite(path, clock=time.time, bounds=Bounds()) as store:
        async def record(sequence):
            try:
                return await store.record(Batch(records=[single(sequence, 1)], source="life", sequence=sequence))
            except StoreUnavailable:
                return "unavailable"
        met = [await record(1)]
        most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, most))
        met += [await record(2), await record(2)]
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        met += [await record(2), await record(2), await record(3)]
        print(met)

asyncio.run(main(pathlib.Path(sys.argv[1])))
"""


def test_a_file_that_may_not_grow_is_unavailable_and_works_again_once_it_may(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, path], check=True, capture_output=True, text=True, timeout=30)

    assert done.stdout.splitlines()[-1] == "[True, 'unavailable', 'unavailable', True, False, True]"


def test_an_account_whose_process_was_killed_has_all_that_was_acknowledged(path: Path) -> None:
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", CHILD.replace("print(met)", kill), path], check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL

    async def recorded() -> dict[int, int]:
        async with opened(path) as store:
            return await counts(store)

    assert asyncio.run(recorded()) == {1: 1, 2: 1, 3: 1}
