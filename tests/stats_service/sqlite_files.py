"""SQLite files as tests make, read and damage them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from stats_service.store import Bounds
from stats_service.store_sqlite import open_sqlite
from tests.stats_service.accounts import NOON, Clock


def opened(path: Path, **bounds: Any) -> Any:
    """The store of a file, at a time that stands still."""
    return open_sqlite(path, clock=Clock(), bounds=Bounds(**bounds))


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


def with_damage(content: bytes, page: int, page_size: int = 4096) -> bytes:
    """With the head of one page turned round."""
    start = (page - 1) * page_size
    turned = bytes(byte ^ 0xFF for byte in content[start : start + 64])
    return content[:start] + turned + content[start + 64 :]


def as_release_0_1_made_it(path: Path) -> None:
    """An account of the first release, which had no version in a table."""
    with connected(path) as file:
        file.executescript(f"""
            PRAGMA journal_mode = WAL;
            CREATE TABLE numbers (
                n INTEGER NOT NULL, count BIGINT NOT NULL, cache_hits BIGINT NOT NULL, total_ns BIGINT NOT NULL,
                min_ns BIGINT NOT NULL, max_ns BIGINT NOT NULL, PRIMARY KEY (n)
            );
            CREATE TABLE totals (
                id INTEGER NOT NULL, requests BIGINT NOT NULL, cache_hits BIGINT NOT NULL, PRIMARY KEY (id)
            );
            CREATE TABLE sources (
                source VARCHAR(64) NOT NULL, sequence BIGINT NOT NULL, last_seen FLOAT NOT NULL, PRIMARY KEY (source)
            );
            PRAGMA application_id = 1718182515;
            PRAGMA user_version = 1;
            INSERT INTO numbers VALUES (10, 5, 2, 500, 50, 200), (20, 3, 0, 9000000000000000, 1, 4000000000000000);
            INSERT INTO totals VALUES (1, 8, 2);
            INSERT INTO sources VALUES ('life-1', 7, {NOON});
        """)
