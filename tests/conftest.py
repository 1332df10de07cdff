from collections.abc import Iterator

import pytest

from tests.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests that need one; each takes a database of its own."""
    with Postgres(durable=False) as server:
        yield server
