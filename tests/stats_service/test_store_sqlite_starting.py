"""Which files a service starts on, and what it makes of an older one."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service_kit.lifecycle import CannotStart
from stats_service.measures import Measures, NumberMeasures
from stats_service.schema import HEAD
from tests.stats_service.accounts import (
    NOON,
    answers,
    batch,
    counts,
    kept,
    numbers,
    record_numbers,
    totals,
)
from tests.stats_service.sqlite_files import (
    as_release_0_1_made_it,
    connected,
    content,
    files,
    opened,
    with_damage,
    write,
)

TEN = answers(10, 3, 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stats.sqlite3"


async def refusal(path: Path) -> str:
    with pytest.raises(CannotStart) as caught:
        async with opened(path):
            pass
    assert str(caught.value).startswith("STATS_DATABASE_URL: ")
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


async def test_a_newer_schema_is_refused_and_not_touched(path: Path) -> None:
    async with opened(path):
        pass
    with connected(path) as file:
        file.execute(f"PRAGMA user_version = {int(HEAD) + 1}")
    before = content(path)

    assert f"version {int(HEAD) + 1}" in await refusal(path)

    assert content(path) == before


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


@pytest.mark.parametrize("damaged_page", [2, 5, 10])
async def test_a_damaged_file_is_refused_and_not_touched(path: Path, damaged_page: int) -> None:
    async with opened(path) as store:
        await record_numbers(store, range(2_000))
    before = with_damage(content(path), damaged_page)
    write(path, before)

    assert "malformed" in (line := await refusal(path)) or "damaged" in line

    assert content(path) == before
    assert files(path.parent) == [path.name]


async def test_a_file_that_was_cut_off_is_refused(path: Path) -> None:
    async with opened(path) as store:
        await record_numbers(store, range(2_000))
    whole = content(path)
    write(path, whole[: len(whole) // 2])

    await refusal(path)

    assert content(path) == whole[: len(whole) // 2]


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


def start_several(path: Path) -> list[dict[int, int]]:
    """Each in a thread and a loop of its own, as processes would; what each of them counts when it has started."""

    async def start() -> dict[int, int]:
        async with opened(path) as store:
            return await counts(store)

    def run(_number: int) -> dict[int, int]:
        return asyncio.run(start())

    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(run, range(4)))


def test_several_that_start_at_once_on_one_file_all_start(tmp_path: Path) -> None:
    for attempt in range(5):
        assert start_several(tmp_path / f"{attempt}.sqlite3") == [{}] * 4


async def test_an_account_of_release_0_1_is_upgraded_with_every_count(path: Path) -> None:
    as_release_0_1_made_it(path)

    async with opened(path) as store:
        ten = Measures(5, 2, 0, 500, 50, 200)
        twenty = Measures(3, 0, 0, 9 * 10**15, 1, 4 * 10**15)
        assert await numbers(store) == [NumberMeasures(10, ten), NumberMeasures(20, twenty)]
        assert (await totals(store)).all == Measures(8, 2, 0, 9 * 10**15 + 500, 1, 4 * 10**15)
        assert not await store.record(batch(7, TEN))
        assert await store.record(batch(8, TEN))

    async with opened(path) as store:
        assert await counts(store) == {10: 8, 20: 3}
        measures = (await store.number(10)).measures
        assert (measures.first_seen, measures.last_seen) == (0, NOON)  # 0: it was before such times were kept


async def test_an_empty_account_of_release_0_1_is_upgraded(path: Path) -> None:
    as_release_0_1_made_it(path)
    with connected(path) as file:
        for table in ("numbers", "totals", "sources"):
            file.execute(f"DELETE FROM {table}")

    async with opened(path) as store:
        assert (await totals(store)).all == Measures()
        await store.record(batch(1, TEN))
        assert await numbers(store) == [kept(TEN)]


def test_several_that_start_at_once_on_an_account_of_release_0_1_upgrade_it_once(path: Path) -> None:
    as_release_0_1_made_it(path)

    assert start_several(path) == [{10: 5, 20: 3}] * 4


async def test_an_upgrade_that_fails_is_told_in_one_line_and_leaves_the_account_as_it_was(path: Path) -> None:
    as_release_0_1_made_it(path)
    with connected(path) as file:
        file.execute("CREATE TABLE minutes (x)")  # which the upgrade would make
        before = list(file.iterdump())

    assert "minutes" in await refusal(path)

    with connected(path) as file:
        assert list(file.iterdump()) == before
        assert file.execute("PRAGMA user_version").fetchone() == (1,)


async def test_a_file_whose_tables_are_gone_is_refused(path: Path) -> None:
    async with opened(path):
        pass
    with connected(path) as file:
        file.execute("DROP TABLE buckets")

    assert "has no table buckets" in await refusal(path)
