"""Sends transactions with the driver alone, and times each."""

import contextlib
import sqlite3
import time
from collections.abc import Sequence

import asyncpg

from bench.stats.transactions import Transaction


def sqlite_ms(path: str, transactions: Sequence[Transaction]) -> list[float]:
    taken = []
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        for transaction in transactions:
            started = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            for statement in transaction:
                execute = connection.executemany if statement.many else connection.execute
                execute(statement.sql, statement.parameters).fetchall()
            connection.execute("COMMIT")
            taken.append((time.perf_counter() - started) * 1000)
    return taken


async def postgresql_ms(database_url: str, transactions: Sequence[Transaction]) -> list[float]:
    taken = []
    connection = await asyncpg.connect(database_url)
    try:
        for transaction in transactions:
            started = time.perf_counter()
            async with connection.transaction():
                for statement in transaction:
                    if statement.many:
                        await connection.executemany(statement.sql, statement.parameters)
                    else:
                        await connection.fetch(statement.sql, *statement.parameters)
            taken.append((time.perf_counter() - started) * 1000)
    finally:
        await connection.close()
    return taken
