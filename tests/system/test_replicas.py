"""Two replicas of fibonacci_service: both get work, and a rolling restart under load costs no request."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from deploy.local.processes import ServiceProcess, System
from tests.system.account import settled_total
from tests.system.load import load

pytestmark = pytest.mark.slow

ROUNDS = 2


@pytest.fixture
def second(system: System) -> Iterator[ServiceProcess]:
    """Another fibonacci_service; the gateway of the system goes round both."""
    first = system.fibonacci
    replica = ServiceProcess("fibonacci_service", first.settings | {"FIBONACCI_LISTEN_PORT": "0"}).start()
    try:
        system.gateway.stop()
        both = f"ipv4:127.0.0.1:{first.port},127.0.0.1:{replica.port}"
        system.gateway.settings["GATEWAY_FIBONACCI_TARGET"] = both
        system.gateway.start()
        yield replica
    finally:
        replica.kill()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
async def test_a_rolling_restart_under_load_fails_no_request(
    system: System, second: ServiceProcess, how: signal.Signals
) -> None:
    async with load(system.url) as sent:
        for _ in range(ROUNDS):
            for replica in (system.fibonacci, second):
                await sent.answered(300)
                await asyncio.to_thread(replica.stop, how)
                await sent.answered(100)
                await asyncio.to_thread(replica.start)
        await sent.answered(300)

    assert sent.statuses == {200: sent.sent}
    if how == signal.SIGTERM:  # what was read is answered before a call is ended, so nothing is asked twice
        assert settled_total(system, sent.sent) == sent.sent


async def test_both_replicas_get_their_share_of_the_work(system: System, second: ServiceProcess) -> None:
    async with load(system.url) as sent:
        await sent.answered(3_000)
    for replica in (system.fibonacci, second):
        await asyncio.to_thread(replica.stop)

    shares = [replica.wait_for("stats.flushed")["served"] for replica in (system.fibonacci, second)]
    assert sum(shares) == sent.sent
    assert min(shares) > 0.15 * sent.sent
