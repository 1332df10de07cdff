from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.processes import System

LOG_EVERYTHING = {"STATS_LOG_REQUESTS": "all", "FIBONACCI_LOG_REQUESTS": "all", "GATEWAY_LOG_REQUESTS": "all"}


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """The three real processes, each request logged, with an account of their own."""
    with System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3", settings=LOG_EVERYTHING) as running:
        yield running
