"""The connection to stats_service breaks at the worst moments: in a batch, and between the commit and the reply."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from deploy.local.processes import System
from tests.system.account import next_record, settled
from tests.system.conftest import Report
from tests.system.watch import watched_load
from tests.tcp_proxy import TcpProxy, proxying

pytestmark = pytest.mark.slow

CUTS = 30
MOST_SECONDS = 30
#: Up to so many bytes into what is sent; a batch of the load's numbers is some hundred bytes.
CUT_WITHIN_BYTES = 400


@pytest.fixture
async def proxy(fast_system: System) -> AsyncIterator[TcpProxy]:
    """Between the fibonacci_service and the stats_service of `fast_system`."""
    async with proxying(fast_system.stats.port) as proxy:
        await asyncio.to_thread(fast_system.fibonacci.stop)
        fast_system.connect_fibonacci(proxy.port)
        await asyncio.to_thread(fast_system.fibonacci.start)
        yield proxy


async def test_cut_in_the_middle_of_a_batch_it_is_sent_again_whole(
    fast_system: System, proxy: TcpProxy, random_: random.Random, report: Report
) -> None:
    system = fast_system
    async with watched_load(system) as (sent, _), asyncio.timeout(MOST_SECONDS):
        for _ in range(CUTS):
            await next_record(system.stats)
            await proxy.cut_after(random_.randint(1, CUT_WITHIN_BYTES))
        await next_record(system.stats)
    account = await settled(system, sent)

    report(f"{account} cut in the middle {proxy.cut_in_the_middle}")
    assert sent.statuses == {200: sent.sent}
    assert proxy.cut_in_the_middle > CUTS / 3
    assert account.is_exact


async def test_cut_between_the_commit_and_the_reply_the_repeat_is_recognised(
    fast_system: System, proxy: TcpProxy, report: Report
) -> None:
    system = fast_system
    async with watched_load(system) as (sent, _), asyncio.timeout(MOST_SECONDS):
        while system.stats.count("rpc.served", duplicate=True) < CUTS:
            await next_record(system.stats)
            await proxy.hold_replies()
            proxy.cut()
        await next_record(system.stats)
    account = await settled(system, sent)

    duplicates = system.stats.count("rpc.served", duplicate=True)
    report(f"{account} duplicates {duplicates}")
    assert sent.statuses == {200: sent.sent}
    assert account.is_exact
