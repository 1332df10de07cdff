"""On the real process and a SQLite file."""

import sqlite3
from contextlib import closing
from pathlib import Path

from bench.stats.batches import RECORD_REQUESTS
from bench.stats.own_store import OwnStore


def test_the_bare_driver_does_to_the_database_what_the_store_did(tmp_path: Path) -> None:
    path = tmp_path / "stats.sqlite3"
    with OwnStore() as own:
        own.open(f"sqlite:///{path}")
        taken = own.store_ms("store-1", below=1_000, count=2)
        after_store = _counts(path)
        taken += own.driver_ms()
        after_driver = _counts(path)

    assert len(taken) == 4
    assert min(taken) > 0
    assert after_store == dict.fromkeys(range(1_000), 2 * RECORD_REQUESTS)
    assert after_driver == dict.fromkeys(range(1_000), 4 * RECORD_REQUESTS)


def test_only_the_last_batches_of_the_store_are_sent_again(tmp_path: Path) -> None:
    path = tmp_path / "stats.sqlite3"
    with OwnStore() as own:
        own.open(f"sqlite:///{path}")
        own.store_ms("store-1", below=1_000, count=3)
        own.store_ms("store-2", below=1_000, count=1)
        assert len(own.driver_ms()) == 1


def _counts(path: Path) -> dict[int, int]:
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT n, count FROM numbers WHERE n >= 0"))
