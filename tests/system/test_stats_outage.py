"""stats_service away, hung or absent: /fib does not notice, and afterwards every request is in the total, once."""

import asyncio
import random
import signal
import time

import httpx
import pytest

from deploy.local.processes import System
from tests.system.account import settled, total
from tests.system.conftest import Report
from tests.system.load import load
from tests.system.watch import watched_load

pytestmark = pytest.mark.slow

KILLS = 20
HUNG_SECONDS = 10
#: Were answers to wait for one attempt to deliver, 2 s, there would be a tenth of this.
ANSWERED_WHILE_HUNG = 400


async def test_killed_at_any_moment_under_load_it_loses_and_doubles_nothing(
    fast_system: System, random_: random.Random, report: Report
) -> None:
    system = fast_system
    async with watched_load(system) as (sent, _):
        for _ in range(KILLS):
            await asyncio.sleep(random_.uniform(0, 0.15))
            await asyncio.to_thread(system.stats.kill)
            await asyncio.to_thread(system.stats.start)
        await sent.answered(100)
    account = await settled(system, sent)

    duplicates = system.stats.count("rpc.served", duplicate=True)
    report(f"{account} duplicates {duplicates}")
    assert sent.statuses == {200: sent.sent}
    assert account.is_exact


async def test_hung_it_delays_no_answer_and_loses_none(fast_system: System, report: Report) -> None:
    system = fast_system
    async with watched_load(system) as (sent, watch):
        await sent.answered(100)
        answered_before = sent.sent
        system.stats.send(signal.SIGSTOP)
        hung = time.monotonic()
        while time.monotonic() < hung + HUNG_SECONDS:
            await sent.answered(100)
        answered_while_hung = sent.sent - answered_before
        while_hung = dict(watch.stats_statuses)
        system.stats.send(signal.SIGCONT)
        await sent.answered(100)
    account = await settled(system, sent)

    report(account)
    assert sent.statuses == {200: sent.sent}
    assert answered_while_hung > ANSWERED_WHILE_HUNG
    assert while_hung[503] >= 1
    assert account.is_exact


async def test_absent_from_the_start_it_finds_every_request_when_it_comes(system: System, report: Report) -> None:
    port = system.stats.port
    system.gateway.stop()
    system.fibonacci.stop()
    system.stats.kill()
    system.fibonacci.start()
    system.gateway.start()

    async with load(system.url) as sent:
        await sent.answered(300)
    async with httpx.AsyncClient(timeout=30) as client:
        unavailable = await client.get(f"{system.url}/stats")
    system.stats.start()
    account = await settled(system, sent)

    report(account)
    assert system.stats.port == port
    assert unavailable.status_code == 503
    assert unavailable.headers["Retry-After"] == "1"
    assert sent.statuses == {200: sent.sent}
    assert account.is_exact
    assert total(system) == sent.sent


async def test_what_cannot_be_delivered_before_the_end_is_counted_and_logged(system: System) -> None:
    system.stats.kill()
    async with load(system.url) as sent:
        await sent.answered(50)

    assert system.fibonacci.stop() == 0

    dropped = system.fibonacci.wait_for("stats.dropped")
    flushed = system.fibonacci.wait_for("stats.flushed")
    assert dropped["count"] == sent.sent
    assert (flushed["served"], flushed["recorded"], flushed["dropped"]) == (sent.sent, 0, sent.sent)
