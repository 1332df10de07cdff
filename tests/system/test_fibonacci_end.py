"""fibonacci_service ends under load: told to, it loses no record; killed, it loses what was not acknowledged."""

import asyncio
import random
import signal
from dataclasses import replace

import pytest

from deploy.local.processes import System
from tests.system.account import REST_SECONDS, Account, read_recorder, settled
from tests.system.conftest import Report
from tests.system.load import WORKERS, Load
from tests.system.watch import Watch, watched_load

pytestmark = pytest.mark.slow

ENDS = 5


async def test_sigterm_under_load_loses_and_doubles_nothing(
    fast_system: System, random_: random.Random, report: Report
) -> None:
    system = fast_system
    async with watched_load(system) as (sent, _):
        for _ in range(ENDS):
            await asyncio.sleep(random_.uniform(0, 0.3))
            assert await asyncio.to_thread(system.fibonacci.stop) == 0
            await asyncio.to_thread(system.fibonacci.start)
            await sent.answered(100)
    account = await settled(system, sent)

    report(account)
    assert sent.statuses == {200: sent.sent}
    assert account.dropped == 0
    assert account.is_exact


async def test_killed_it_loses_what_was_not_acknowledged_and_no_more(system: System, report: Report) -> None:
    async with watched_load(system) as (sent, watch):
        most_lost = born = 0
        for _ in range(ENDS):
            await sent.answered(100)
            most_lost += await killed(system, sent, born=born)
            born = sent.succeeded  # before the next life, which answers before its start is noticed here
            await asyncio.to_thread(system.fibonacci.start)
        await sent.answered(100)
    account = await settled(system, sent)

    report(f"{of_all_lives(account, watch)}; at most {most_lost} and {ENDS * WORKERS}")
    assert sent.statuses == {200: sent.sent}
    assert account.lost <= most_lost
    assert account.doubled <= ENDS * WORKERS
    assert account.counted.total() >= watch.acknowledged


async def test_killed_in_an_outage_of_stats_service_it_loses_what_waited_since_and_no_more(
    system: System, report: Report
) -> None:
    async with watched_load(system) as (sent, watch):
        await sent.answered(300)
        await recorded(system, 300)
        system.stats.send(signal.SIGSTOP)
        await sent.answered(300)
        most_lost = await killed(system, sent, born=0)
        answered = sent.succeeded
        system.stats.send(signal.SIGCONT)
        await asyncio.to_thread(system.fibonacci.start)
        await sent.answered(100)
    account = await settled(system, sent)

    report(f"{of_all_lives(account, watch)}; at most {most_lost} and {WORKERS}")
    assert sent.statuses == {200: sent.sent}
    assert 0 < account.lost <= most_lost <= answered + WORKERS - 300
    assert account.doubled <= WORKERS
    assert account.counted.total() >= watch.acknowledged


async def recorded(system: System, count: int) -> None:
    """Returns once fibonacci_service knows that so many answers are counted."""
    async with asyncio.timeout(REST_SECONDS):
        while (await read_recorder(system.fibonacci)).recorded < count:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.02)


async def killed(system: System, sent: Load, *, born: int) -> int:
    """Kills fibonacci_service, and returns how many of the answers since its birth may not have been counted.

    What the gateway had got and not yet passed on was answered too.
    """
    known = (await read_recorder(system.fibonacci)).recorded
    await asyncio.to_thread(system.fibonacci.kill)
    return sent.succeeded + WORKERS - born - known


def of_all_lives(account: Account, watch: Watch) -> Account:
    """With what was last read of those that were killed, for they said nothing more."""
    served = sum(life.served for life in watch.lives.values())
    return replace(account, served=served, recorded=watch.acknowledged)
