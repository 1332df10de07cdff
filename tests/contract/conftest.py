from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.processes import System


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """The three real processes, with an account of their own."""
    with System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3") as running:
        yield running
