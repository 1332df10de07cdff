"""What a batch of 1,000 different numbers costs in each store, beside the bare driver, and what a million take."""

from pathlib import Path
from statistics import median

from bench import aims
from bench.errors import BenchmarkFailed
from bench.figures import Aim, Figure, Part, ratios
from bench.memory import MEGABYTE
from bench.resources import pss_bytes
from bench.stats.batches import BATCH_RECORDS, RECORD_REQUESTS
from bench.stats.calls import StatsClient
from bench.stats.own_store import OwnStore
from bench.stats.postgresql import new_postgresql
from bench.system import new_system
from deploy.local.processes import System

SMALL_NUMBERS = 10_000
#: A turn is so many batches, and its figure their median.
BATCHES_A_TURN = 5
READINGS = 5


def measure_small_sqlite(*, numbers: int, rounds: int) -> Part:
    with new_system() as system:
        figures = _filled(system, min(numbers, SMALL_NUMBERS), rounds, aims.SMALL_SQLITE_COMMIT_MS)
    return Part("stats-sqlite-small", _title("SQLite", min(numbers, SMALL_NUMBERS)), figures)


def measure_large_sqlite(*, numbers: int, rounds: int) -> Part:
    with new_system() as system:
        figures = _filled(system, numbers, rounds, aims.LARGE_SQLITE_COMMIT_MS)
        figures += _sizes(system)
    return Part("stats-sqlite-large", _title("SQLite", numbers), figures)


def measure_postgresql(*, numbers: int, rounds: int) -> Part:
    with new_postgresql() as url, new_system(database_url=url) as system:
        figures = _filled(system, min(numbers, SMALL_NUMBERS), rounds, aims.POSTGRESQL_COMMIT_MS)
    return Part("stats-postgresql", _title("PostgreSQL", min(numbers, SMALL_NUMBERS)), figures)


def _filled(system: System, numbers: int, rounds: int, aim: Aim) -> list[Figure]:
    """The figures of the store once it holds so many numbers; all take turns on it."""
    with StatsClient(system.stats.port) as client, OwnStore() as own:
        fill_seconds = client.fill(numbers)
        readings = client.readings_ms(READINGS)
        own.open(system.stats.settings["STATS_DATABASE_URL"])
        service, store, driver = [], [], []
        for number in range(rounds):
            choice = {"below": numbers, "count": BATCHES_A_TURN}
            service.append(median(client.commits_ms(f"service-{number}", **choice)))
            store.append(median(own.store_ms(f"store-{number}", **choice)))
            driver.append(median(own.driver_ms()))
        counted = client.total()
    _check_total(counted, numbers=numbers, batches=3 * rounds * BATCHES_A_TURN)
    return [
        Figure("RecordNo of 1,000 numbers, ms", service, aim),
        Figure("the store's part of it, ms", store),
        Figure("the same statements by the bare driver, ms", driver),
        Figure("ratio of store / bare driver", ratios(store, driver), aims.TO_BARE_DRIVER),
        Figure("GetStats, ms", readings, aims.GET_STATS_MS),
        Figure("numbers/s, filling it", [numbers / fill_seconds]),
        Figure("requests that were recorded and are counted", [counted]),
    ]


def _check_total(counted: int, *, numbers: int, batches: int) -> None:
    """Batches are of the service, of the store alone and of the driver alone."""
    recorded = (numbers + batches * BATCH_RECORDS) * RECORD_REQUESTS
    if counted != recorded:
        raise BenchmarkFailed(f"{recorded} requests were recorded and GetStats counts {counted}")


def _sizes(system: System) -> list[Figure]:
    file = Path(system.stats.settings["STATS_DATABASE_URL"].removeprefix("sqlite:///"))
    file_bytes = sum(each.stat().st_size for each in file.parent.glob(f"{file.name}*"))
    [pss] = pss_bytes([system.stats]).values()
    return [
        Figure("the file with its log, MB", [file_bytes / MEGABYTE], aims.STORE_FILE_MB),
        Figure("PSS MB, stats_service", [pss / MEGABYTE], aims.STATS_SERVICE_MB),
    ]


def _title(store: str, numbers: int) -> str:
    return f"{store} with {numbers:,} numbers"
