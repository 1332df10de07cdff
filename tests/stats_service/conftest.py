from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from service_kit.grpc_channel import open_channel
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from stats_service.app import running
from stats_service.settings import Settings

if TYPE_CHECKING:
    from service_kit.pb.stats.stats_pb2_grpc import StatsAsyncStub


def settings_of(**changes: Any) -> Settings:
    return Settings(**{"listen_port": 0, "drain_delay_seconds": 0, "database_url": "memory:", **changes})


@pytest.fixture
async def stub() -> AsyncIterator["StatsAsyncStub"]:
    """A stub of a service that keeps its account in memory."""
    async with running(settings_of()) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield StatsStub(channel)
