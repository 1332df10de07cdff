import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import httpx
import pytest
import pytest_asyncio
import uvloop

import fibonacci_service.app
import fibonacci_service.settings
import stats_service.app
import stats_service.settings
from tests.api_gateway.neighbours import TinyFibonacci, TinyStats, gateway, serving


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the services run on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def stats_target() -> AsyncIterator[str]:
    """The real stats_service."""
    settings = stats_service.settings.Settings(listen_port=0, drain_delay_seconds=0, database_url="memory:")
    async with stats_service.app.running(settings) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture
async def fibonacci_target(stats_target: str) -> AsyncIterator[str]:
    """The real fibonacci_service, which reports to the real stats_service at once."""
    settings = fibonacci_service.settings.Settings(
        listen_port=0, drain_delay_seconds=0, stats_target=stats_target, stats_interval_seconds=0.001
    )
    async with fibonacci_service.app.running(settings) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture
async def client(fibonacci_target: str, stats_target: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the real gateway before the two real services.

    The deadline is longer than by default: a worker gives way to everything, and takes seconds to start beside it.
    """
    targets = {"fibonacci_target": fibonacci_target, "stats_target": stats_target}
    async with gateway(**targets, deadline_seconds=30) as connected:
        yield connected


@pytest.fixture
def absent() -> Iterator[str]:
    """The target of a service that does not run: its port is taken and refuses connections."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{holder.getsockname()[1]}"


@pytest.fixture(scope="module")
def tiny_fibonacci() -> TinyFibonacci:
    return TinyFibonacci()


@pytest.fixture(scope="module")
def tiny_stats() -> TinyStats:
    return TinyStats()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def lasting_client(tiny_fibonacci: TinyFibonacci, tiny_stats: TinyStats) -> AsyncIterator[httpx.AsyncClient]:
    """A client of one gateway for a whole module, whose tests mark themselves with that loop scope."""
    async with (
        serving(tiny_fibonacci) as fibonacci_target,
        serving(tiny_stats) as stats_target,
        gateway(fibonacci_target=fibonacci_target, stats_target=stats_target) as connected,
    ):
        yield connected
