"""What the versions in schema/ make is what tables.py says, and what queries.py asks for goes by an index."""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Select, text

from stats_service import tables
from stats_service.paging import Order, PageRequest, Place
from stats_service.queries import busiest, least_used, page_of_numbers
from stats_service.schema import HEAD, REVISIONS, alembic_config
from stats_service.store_sql import SqlStore
from tests.postgres import Postgres
from tests.stats_service.accounts import Clock, opened
from tests.stats_service.sqlite_files import as_release_0_1_made_it


async def on_the_connection(url: str, ask: Callable[[Connection], Any]) -> Any:
    async with opened(url, Clock()) as store:
        assert isinstance(store, SqlStore)
        async with store._reads.connect() as connection:
            return await connection.run_sync(ask)


async def test_the_versions_are_those_that_alembic_finds_in_one_line(used_database: str) -> None:
    def found(connection: Connection) -> ScriptDirectory:
        return ScriptDirectory.from_config(alembic_config(connection))

    scripts = await on_the_connection(used_database, found)

    assert scripts.get_heads() == [HEAD]
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, tables.metadata))


async def test_a_new_sqlite_file_has_the_tables_that_are_stated(tmp_path: Path) -> None:
    assert await on_the_connection(f"sqlite:///{tmp_path}/stats.sqlite3", differences) == []


async def test_an_upgraded_file_of_release_0_1_has_the_tables_that_are_stated(tmp_path: Path) -> None:
    path = tmp_path / "stats.sqlite3"
    await asyncio.to_thread(as_release_0_1_made_it, path)

    assert await on_the_connection(f"sqlite:///{path}", differences) == []


async def test_a_postgresql_database_has_the_tables_that_are_stated(postgres: Postgres) -> None:
    assert await on_the_connection(postgres.new_database(), differences) == []


async def test_an_upgraded_file_is_made_of_the_same_statements_as_a_new_one(tmp_path: Path) -> None:
    old = tmp_path / "old.sqlite3"
    await asyncio.to_thread(as_release_0_1_made_it, old)

    def statements(connection: Connection) -> set[str]:
        rows = connection.execute(text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'sources'"))
        return {re.sub(r"\s+", " ", row.sql) for row in rows}

    made = await on_the_connection(f"sqlite:///{tmp_path}/new.sqlite3", statements)
    assert await on_the_connection(f"sqlite:///{old}", statements) == made


#: What is read of a table of numbers, and the steps in which SQLite does.
BY_COUNT = "numbers USING INDEX numbers_by_count"
BY_N = "numbers USING INTEGER PRIMARY KEY"
AFTER = Place(count=5, n=5_000)
QUERIES = {
    "the first page of BUSIEST": (page_of_numbers(PageRequest()), [f"SCAN {BY_COUNT}"]),
    "the first page of LEAST_BUSY": (page_of_numbers(PageRequest(order=Order.LEAST_BUSY)), [f"SCAN {BY_COUNT}"]),
    "the first page of N": (page_of_numbers(PageRequest(order=Order.N)), ["SCAN numbers"]),
    "the first page of N_DESCENDING": (page_of_numbers(PageRequest(order=Order.N_DESCENDING)), ["SCAN numbers"]),
    "a page of BUSIEST": (
        page_of_numbers(PageRequest(100, Order.BUSIEST, AFTER)),
        [f"SEARCH {BY_COUNT} (count=? AND n>?)", f"SEARCH {BY_COUNT} (count<?)"],
    ),
    "a page of LEAST_BUSY": (
        page_of_numbers(PageRequest(100, Order.LEAST_BUSY, AFTER)),
        [f"SEARCH {BY_COUNT} (count=? AND n<?)", f"SEARCH {BY_COUNT} (count>?)"],
    ),
    "a page of N": (page_of_numbers(PageRequest(100, Order.N, AFTER)), [f"SEARCH {BY_N} (rowid>?)"]),
    "a page of N_DESCENDING": (
        page_of_numbers(PageRequest(100, Order.N_DESCENDING, AFTER)),
        [f"SEARCH {BY_N} (rowid<?)"],
    ),
    "the busiest": (busiest(100), [f"SCAN {BY_COUNT}"]),
    "the least used": (least_used(100), [f"SCAN {BY_COUNT}"]),
}


def as_text(query: Select[Any], connection: Connection) -> str:
    return str(query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))


@pytest.mark.parametrize("name", QUERIES)
async def test_sqlite_reads_numbers_along_an_index_from_where_a_page_begins(tmp_path: Path, name: str) -> None:
    query, steps = QUERIES[name]

    def explained(connection: Connection) -> list[str]:
        return [str(row[-1]) for row in connection.execute(text(f"EXPLAIN QUERY PLAN {as_text(query, connection)}"))]

    plan = await on_the_connection(f"sqlite:///{tmp_path}/stats.sqlite3", explained)

    assert [step.replace("COVERING ", "") for step in plan if " numbers" in step] == steps
    sorts = [step for step in plan if "TEMP B-TREE" in step]
    assert not sorts or len(steps) == 2, plan  # two parts of a page are put together, each no longer than a page


@pytest.mark.parametrize("name", QUERIES)
async def test_postgresql_reads_no_more_numbers_than_a_page_has(emptied_database: str, name: str) -> None:
    query, steps = QUERIES[name]

    def explained(connection: Connection) -> Any:
        row = "n, CASE WHEN n % 2 = 0 THEN 5 ELSE 1 + n % 9 END, 0, 0, 0, 0, 0, 0, 0"
        connection.execute(text(f"INSERT INTO numbers SELECT {row} FROM generate_series(1, 10000) AS n"))
        connection.execute(text("ANALYZE numbers"))
        explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {as_text(query, connection)}"
        return connection.execute(text(explain)).scalar_one()

    [explanation] = await on_the_connection(emptied_database, explained)

    reads = [node for node in nodes(explanation["Plan"]) if node.get("Relation Name") == "numbers"]
    assert len(reads) <= len(steps)
    assert all("Index" in node["Node Type"] and node["Actual Rows"] <= 101 for node in reads)
    assert all(node.get("Rows Removed by Filter", 0) <= 1_000 for node in reads)  # of 2,500 equals before the page


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)
