"""Replicas that come, go and fall silent: their callers find them and leave them, and no request fails."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from deploy.local.processes import ServiceProcess, System
from tests.postgres import Postgres
from tests.system.account import next_record, settled_over
from tests.system.conftest import LOG_BATCHES
from tests.system.load import load
from tests.system.name_server import NameServer, serving_names
from tests.system.replicas import answering, target
from tests.tcp_proxy import proxying

pytestmark = pytest.mark.slow

FIBONACCI, STATS = "fibonacci.test", "stats.test"
FIRST_HOST, SECOND_HOST = "127.0.0.2", "127.0.0.3"
SETTINGS = LOG_BATCHES | {
    "FIBONACCI_LISTEN_HOST": FIRST_HOST,
    "STATS_LISTEN_HOST": FIRST_HOST,
    "FIBONACCI_MAX_CONNECTION_AGE_SECONDS": 1,
    "STATS_MAX_CONNECTION_AGE_SECONDS": 1,
}
#: Cheap ones, which travel in batches, and dear ones, which go alone; few enough that GET /stats shows them all.
ASKED = (*range(30), *range(2_000, 2_010))
AGES = 3


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    async with serving_names() as names:
        names.addresses = {FIBONACCI: [FIRST_HOST], STATS: [FIRST_HOST]}
        yield names


@pytest.fixture
async def system(names: NameServer, postgres: Postgres) -> AsyncIterator[System]:
    """Each service calls the others by name, each name has one address, and no connection lasts for long."""
    system = System(database_url=postgres.new_database(), settings=SETTINGS)
    try:
        await asyncio.to_thread(system.stats.start)
        stats_target = names.target(STATS, system.stats.port)
        system.fibonacci.settings["FIBONACCI_STATS_TARGET"] = stats_target
        await asyncio.to_thread(system.fibonacci.start)
        system.gateway.settings["GATEWAY_STATS_TARGET"] = stats_target
        system.gateway.settings["GATEWAY_FIBONACCI_TARGET"] = names.target(FIBONACCI, system.fibonacci.port)
        await asyncio.to_thread(system.gateway.start)
        yield system
    finally:
        await asyncio.to_thread(system.end)


@contextmanager
def second_of(first: ServiceProcess, host_setting: str) -> Iterator[ServiceProcess]:
    """Another replica on the port of the first one, on an address of its own, which no name has yet."""
    second = ServiceProcess(first.program, first.settings | {host_setting: SECOND_HOST})
    try:
        yield second.start()
    finally:
        second.kill()


async def test_connections_that_age_cost_no_request_and_names_are_asked_again(
    system: System, names: NameServer
) -> None:
    async with load(system.url, asked=ASKED) as sent, asyncio.timeout(60):
        while min(names.asked[FIBONACCI], names.asked[STATS]) < 2 * AGES:  # STATS has two who ask
            await sent.answered(50)
    account = await settled_over([system.fibonacci], system.stats, sent)

    assert sent.statuses == {200: sent.sent}
    assert account.is_exact


async def test_the_gateway_finds_a_new_fibonacci_service_by_name_and_leaves_one_that_is_gone(
    system: System, names: NameServer
) -> None:
    with second_of(system.fibonacci, "FIBONACCI_LISTEN_HOST") as second:
        async with load(system.url, asked=ASKED) as sent:
            await sent.answered(300)
            names.addresses[FIBONACCI] = [FIRST_HOST, SECOND_HOST]
            await answering(second)
            names.addresses[FIBONACCI] = [SECOND_HOST]
            assert await asyncio.to_thread(system.fibonacci.stop) == 0
            await sent.answered(300)
            await asyncio.to_thread(system.fibonacci.start)
            names.addresses[FIBONACCI] = [FIRST_HOST]
            await answering(system.fibonacci)
            assert await asyncio.to_thread(second.stop) == 0
            await sent.answered(300)
        account = await settled_over([system.fibonacci, second], system.stats, sent)

    assert sent.statuses == {200: sent.sent}
    assert account.is_exact


async def test_fibonacci_service_finds_a_new_stats_service_by_name_and_leaves_one_that_is_gone(
    system: System, names: NameServer
) -> None:
    with second_of(system.stats, "STATS_LISTEN_HOST") as second:
        async with load(system.url, asked=ASKED) as sent:
            await sent.answered(300)
            names.addresses[STATS] = [FIRST_HOST, SECOND_HOST]
            await next_record(second)
            names.addresses[STATS] = [SECOND_HOST]
            assert await asyncio.to_thread(system.stats.stop) == 0
            await next_record(second)
            await sent.answered(300)
        account = await settled_over([system.fibonacci], second, sent)

    assert sent.statuses == {200: sent.sent}
    assert account.is_exact


async def test_of_a_list_of_addresses_one_that_nobody_had_is_used_once_somebody_has_it(system: System) -> None:
    with second_of(system.fibonacci, "FIBONACCI_LISTEN_HOST") as second:
        await asyncio.to_thread(second.stop)
        await asyncio.to_thread(reconnect, system, target([system.fibonacci, second]))
        async with load(system.url, asked=ASKED) as sent:
            await sent.answered(300)
            await asyncio.to_thread(second.start)
            await answering(second)
            await asyncio.to_thread(system.fibonacci.kill)
            await sent.answered(300)

    assert sent.statuses == {200: sent.sent}


async def test_a_replica_that_falls_silent_is_left_within_the_deadline_of_a_request(system: System) -> None:
    with second_of(system.fibonacci, "FIBONACCI_LISTEN_HOST") as second:
        async with proxying(system.fibonacci.port, host=FIRST_HOST) as proxy:
            await asyncio.to_thread(reconnect, system, f"ipv4:127.0.0.1:{proxy.port},{SECOND_HOST}:{second.port}")
            async with load(system.url, asked=ASKED) as sent:
                await answering(system.fibonacci)
                await answering(second)
                proxy.fall_silent()
                await sent.answered(1_000)

    assert sent.statuses == {200: sent.sent}


def reconnect(system: System, fibonacci_target: str) -> None:
    """A gateway of a new target; from here on nothing of the system is restarted."""
    system.gateway.stop()
    system.gateway.settings["GATEWAY_FIBONACCI_TARGET"] = fibonacci_target
    system.gateway.start()
