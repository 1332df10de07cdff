"""What the versions in schema/ make is what tables.py says, and what queries.py asks for goes by an index."""

import asyncio
import re
from collections.abc import Callable
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


PAGES = {
    f"{order.name} {'first' if after is None else 'behind'}": page_of_numbers(PageRequest(100, order, after))
    for order in Order
    for after in (None, Place(5, 10))
}
QUERIES = {**PAGES, "busiest": busiest(100), "least used": least_used(100)}


def as_text(query: Select[Any], connection: Connection) -> str:
    return str(query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))


@pytest.mark.parametrize("name", QUERIES)
async def test_sqlite_reads_along_an_index_and_sorts_nothing(tmp_path: Path, name: str) -> None:
    def explained(connection: Connection) -> list[str]:
        query = as_text(QUERIES[name], connection)
        return [str(row[-1]) for row in connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))]

    plan = await on_the_connection(f"sqlite:///{tmp_path}/stats.sqlite3", explained)

    [step] = plan  # a sort would be another one: USE TEMP B-TREE FOR ORDER BY
    by_n = "SEARCH numbers USING INTEGER PRIMARY KEY" in step or step == "SCAN numbers"
    assert by_n if name.startswith("N") else "INDEX numbers_by_count" in step, plan
    assert step.startswith("SEARCH") == name.endswith("behind"), plan


@pytest.mark.parametrize("name", QUERIES)
async def test_postgresql_reads_along_an_index_and_sorts_nothing(used_database: str, name: str) -> None:
    def explained(connection: Connection) -> str:
        connection.execute(text("SET enable_seqscan = off"))  # of an empty table it would otherwise read all
        connection.execute(text("SET enable_bitmapscan = off"))
        query = as_text(QUERIES[name], connection)
        return "\n".join(str(row[0]) for row in connection.execute(text(f"EXPLAIN {query}")))

    plan = await on_the_connection(used_database, explained)

    assert "Sort" not in plan
    assert "Index" in plan
