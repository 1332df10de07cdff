import os
from collections.abc import Iterator

from service_kit.grpc_variables import set_grpc_variables

set_grpc_variables(os.environ)  # before any test loads gRPC, as every service does

import hypothesis
import pytest

from tests.postgres import Postgres

#: By default an example that takes longer than 0.2 s fails its test, however long the machine did something else.
hypothesis.settings.register_profile("no_deadline", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("no_deadline")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests that need one; each takes a database of its own."""
    with Postgres(durable=False) as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def free_metrics_ports() -> Iterator[None]:
    """Tests start many services at a time; each serves its metrics on a port of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIBONACCI_METRICS_PORT", "0")
        patch.setenv("STATS_METRICS_PORT", "0")
        yield
