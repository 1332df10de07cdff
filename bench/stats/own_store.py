"""The store without its service, and the driver without the store, on one database in one process.

Runs as a process: `python -m bench.stats.own_store`.
"""

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from bench.child import Child, serve_tasks
from bench.stats.bare_driver import postgresql_ms, sqlite_ms
from bench.stats.batches import random_batches
from bench.stats.transactions import TransactionLog
from stats_service.messages import batch_of
from stats_service.store import Bounds
from stats_service.store_postgresql import open_postgresql
from stats_service.store_sql import SqlStore
from stats_service.store_sqlite import open_sqlite

_SQLITE = "sqlite:///"


class OwnStore(Child):
    """The process, seen from the benchmark's."""

    def __init__(self) -> None:
        super().__init__("bench.stats.own_store")

    def open(self, database_url: str) -> None:
        self.ask("open", database_url)

    def store_ms(self, source: str, *, below: int, count: int) -> list[float]:
        """Records batches, and returns what each took."""
        return [float(each) for each in self.ask("store_ms", source, below, count)]

    def driver_ms(self) -> list[float]:
        """Sends the statements of those batches by the driver alone, and returns what each batch took."""
        return [float(each) for each in self.ask("driver_ms")]


class _Tasks:
    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._log = TransactionLog()

    def open(self, database_url: str) -> None:
        self._database_url = database_url
        self._opened = _store(database_url)
        self._store = self._runner.run(self._opened.__aenter__())
        self._runner.run(self._store.tidy())
        self._log.listen()

    def store_ms(self, source: str, below: int, count: int) -> list[float]:
        self._log.kept.clear()
        taken = self._runner.run(self._record(source, below, count))
        if len(self._log.kept) != count:
            raise ValueError(f"{count} batches took {len(self._log.kept)} transactions that write")
        return taken

    async def _record(self, source: str, below: int, count: int) -> list[float]:
        taken = []
        for request in random_batches(source, below=below, count=count):
            batch = batch_of(request)
            started = time.perf_counter()
            await self._store.record(batch)
            taken.append((time.perf_counter() - started) * 1000)
        return taken

    def driver_ms(self) -> list[float]:
        if self._database_url.startswith(_SQLITE):
            return sqlite_ms(self._database_url.removeprefix(_SQLITE), self._log.kept)
        return self._runner.run(postgresql_ms(self._database_url, self._log.kept))


def _store(database_url: str) -> AbstractAsyncContextManager[SqlStore]:
    if database_url.startswith(_SQLITE):
        return open_sqlite(Path(database_url.removeprefix(_SQLITE)), clock=time.time, bounds=Bounds())
    return open_postgresql(database_url, clock=time.time, bounds=Bounds())


def main() -> None:
    with asyncio.Runner() as runner:
        tasks = _Tasks(runner)
        serve_tasks({"open": tasks.open, "store_ms": tasks.store_ms, "driver_ms": tasks.driver_ms})


if __name__ == "__main__":
    main()
