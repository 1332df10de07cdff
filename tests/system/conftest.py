import os
import random
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.processes import System

LOG_EVERYTHING = {"STATS_LOG_REQUESTS": "all", "FIBONACCI_LOG_REQUESTS": "all", "GATEWAY_LOG_REQUESTS": "all"}
#: For tests of faults: a line for each batch, and none for each of the thousands of requests.
LOG_BATCHES = {"STATS_LOG_REQUESTS": "all"}

FIGURES = "account"

Report = Callable[[object], None]


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """The three real processes, each request logged, with an account of their own."""
    with System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3", settings=LOG_EVERYTHING) as running:
        yield running


@pytest.fixture
def fast_system(tmp_path: Path) -> Iterator[System]:
    """The same for faults under load: a batch every 5 ms, so that a fault that comes at any moment often meets one."""
    settings = LOG_BATCHES | {"FIBONACCI_STATS_INTERVAL_SECONDS": 0.005}
    with System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3", settings=settings) as running:
        yield running


@pytest.fixture
def random_() -> random.Random:
    """Of a seed that is printed; FAULTS_SEED repeats one."""
    seed = int(os.environ.get("FAULTS_SEED") or secrets.randbelow(2**32))
    print(f"FAULTS_SEED={seed}")  # noqa: T201 - pytest shows it where the test fails
    return random.Random(seed)  # noqa: S311 - it has to repeat itself


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Report:
    """Takes the figures of a test, which stand under their own heading at the end of the run."""
    return lambda figures: record_property(FIGURES, str(figures))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = [
        f"{value}  {report.nodeid.rpartition('::')[2]}"
        for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
        for name, value in report.user_properties
        if name == FIGURES
    ]
    if rows:
        terminalreporter.section("accounts at rest")
        for row in rows:
            terminalreporter.line(row)
