"""The database of stats_service is away, full, or shared: what was answered is counted once, and no total is wrong."""

import asyncio
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local.processes import ServiceProcess, System
from stats_service.servicer import FRONT_PAGE_SECONDS
from tests.postgres import Postgres
from tests.system.account import counted, next_record, settled
from tests.system.conftest import LOG_BATCHES, Report
from tests.system.watch import watched_load

pytestmark = pytest.mark.slow

RESTARTS = 4
FULL_DISKS = 8


async def test_a_postgresql_that_crashes_under_load_loses_and_doubles_nothing(
    postgres: Postgres, random_: random.Random, report: Report
) -> None:
    settings = LOG_BATCHES | {"FIBONACCI_STATS_INTERVAL_SECONDS": 0.005}
    with System(database_url=postgres.new_database(), settings=settings) as system:
        async with watched_load(system) as (sent, _):
            for _ in range(RESTARTS):
                await asyncio.sleep(random_.uniform(0, 0.5))
                failed = system.stats.count("store.unavailable")
                await asyncio.to_thread(postgres.stop)
                await asyncio.to_thread(system.stats.wait_for, "store.unavailable", after=failed)
                await sent.answered(100)
                await asyncio.to_thread(postgres.start)
                await next_record(system.stats)
        account = await settled(system, sent)

    report(account)
    assert sent.statuses == {200: sent.sent}
    assert system.stats.count("store.unavailable") >= RESTARTS
    assert account.is_exact


async def test_two_replicas_on_one_postgresql_of_which_one_dies_again_and_again_are_one_truth(
    postgres: Postgres, random_: random.Random, report: Report
) -> None:
    settings = LOG_BATCHES | {"FIBONACCI_STATS_INTERVAL_SECONDS": 0.005}
    with System(database_url=postgres.new_database(), settings=settings) as system, replica_of(system.stats) as replica:
        await asyncio.to_thread(system.fibonacci.stop)
        targets = f"ipv4:127.0.0.1:{system.stats.port},127.0.0.1:{replica.port}"
        system.fibonacci.settings["FIBONACCI_STATS_TARGET"] = targets
        await asyncio.to_thread(system.fibonacci.start)
        async with watched_load(system, stats_age_seconds=FRONT_PAGE_SECONDS) as (sent, _):
            for _ in range(RESTARTS):
                await asyncio.sleep(random_.uniform(0, 0.5))
                await asyncio.to_thread(replica.kill)
                await sent.answered(100)
                await asyncio.to_thread(replica.start)
                await next_record(replica)
        account = await settled(system, sent)

        report(account)
        assert sent.statuses == {200: sent.sent}
        assert await counted(replica) == account.counted
        assert account.is_exact


async def test_a_full_disk_loses_nothing_and_shows_no_wrong_total(
    fast_system: System, tmp_path: Path, random_: random.Random, report: Report
) -> None:
    system = fast_system
    write_ahead_log = tmp_path / "stats.sqlite3-wal"
    async with watched_load(system) as (sent, watch):
        for _ in range(FULL_DISKS):
            await next_record(system.stats)
            failed = system.stats.count("store.unavailable")
            # Somewhere in the log that is written next, so that a transaction can break off in its middle.
            with files_bounded(system.stats, random_.randint(0, write_ahead_log.stat().st_size + 20_000)):
                await asyncio.to_thread(system.stats.wait_for, "store.unavailable", after=failed)
                await sent.answered(100)
            await next_record(system.stats)
    account = await settled(system, sent)

    report(f"{account} answers of /stats {dict(sorted(watch.stats_statuses.items()))}")
    assert sent.statuses == {200: sent.sent}
    assert account.is_exact
    assert system.stats.stop() == 0
    system.stats.start()
    assert await counted(system.stats) == account.counted


@contextmanager
def replica_of(stats: ServiceProcess) -> Iterator[ServiceProcess]:
    replica = ServiceProcess(stats.program, stats.settings | {"STATS_LISTEN_PORT": 0})
    try:
        yield replica.start()
    finally:
        replica.kill()


@contextmanager
def files_bounded(service: ServiceProcess, most_bytes: int) -> Iterator[None]:
    """No file of the process grows beyond so many bytes, as if the disk were full."""
    before, hard = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (before, hard))
