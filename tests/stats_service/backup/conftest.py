"""Where the account and its copy are."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.processes import ServiceProcess
from tests.stats_service.backup.copies import Refused, fill


@pytest.fixture
def account(tmp_path: Path) -> Path:
    return tmp_path / "data" / "stats.sqlite3"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy.sqlite3"


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    return Refused(capsys)


@pytest.fixture
def service(account: Path) -> Iterator[ServiceProcess]:
    """Over an account that has something in it."""
    fill(account)
    running = ServiceProcess(
        "stats_service", {"STATS_DATABASE_URL": f"sqlite:///{account}", "STATS_LISTEN_PORT": 0}
    ).start()
    try:
        yield running
    finally:
        running.stop()
