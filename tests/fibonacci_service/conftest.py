from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from fibonacci_service.app import running
from fibonacci_service.settings import Settings
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from tests.fibonacci_service.processes import Processes

if TYPE_CHECKING:
    from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciAsyncStub

#: Nothing listens there, and nothing waits for it: what is recorded is dropped at the end.
_NO_STATS = {"stats_target": "127.0.0.1:1", "stats_flush_seconds": 0}


def settings_of(**changes: Any) -> Settings:
    return Settings(**{"listen_port": 0, "drain_delay_seconds": 0, **_NO_STATS, **changes})


@pytest.fixture
async def stub() -> AsyncIterator["FibonacciAsyncStub"]:
    """A stub of a service with every default, stats_service away."""
    async with running(settings_of()) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield FibonacciStub(channel)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    return Processes(monkeypatch)
