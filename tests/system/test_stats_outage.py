"""stats_service away, hung or absent: /fib does not notice, and afterwards every request is in the total, once."""

import signal
import time
from pathlib import Path

import httpx
import pytest

from deploy.local.processes import System
from tests.system.account import settled_total
from tests.system.conftest import LOG_EVERYTHING
from tests.system.load import load

pytestmark = pytest.mark.slow


async def ask_stats(system: System) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as client:
        return await client.get(f"{system.url}/stats")


async def test_killed_under_load_it_loses_and_doubles_nothing(system: System) -> None:
    async with load(system.url) as sent:
        for _ in range(5):
            await sent.answered(100)
            system.stats.kill()
            await sent.answered(100)
            system.stats.start()
        await sent.answered(100)

    assert sent.statuses == {200: sent.sent}
    assert settled_total(system, sent.sent) == sent.sent


async def test_hung_it_delays_no_answer_and_loses_none(system: System) -> None:
    async with load(system.url) as sent:
        await sent.answered(100)
        system.stats.send(signal.SIGSTOP)
        started = time.monotonic()
        await sent.answered(1500)
        seconds_while_hung = time.monotonic() - started
        while_hung = await ask_stats(system)
        system.stats.send(signal.SIGCONT)
        await sent.answered(100)

    assert sent.statuses == {200: sent.sent}
    assert seconds_while_hung < 15
    assert while_hung.status_code == 503
    assert settled_total(system, sent.sent) == sent.sent


async def test_absent_from_the_start_it_finds_every_request_when_it_comes(tmp_path: Path) -> None:
    with System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3", settings=LOG_EVERYTHING) as system:
        port = system.stats.port
        system.gateway.stop()
        system.fibonacci.stop()
        system.stats.kill()
        system.fibonacci.start()
        system.gateway.start()

        async with load(system.url) as sent:
            await sent.answered(500)
        unavailable = await ask_stats(system)
        system.stats.start()

        assert system.stats.port == port
        assert unavailable.status_code == 503
        assert unavailable.headers["Retry-After"] == "1"
        assert sent.statuses == {200: sent.sent}
        assert settled_total(system, sent.sent) == sent.sent


async def test_what_cannot_be_delivered_before_the_end_is_counted_and_logged(system: System) -> None:
    system.stats.kill()
    async with load(system.url) as sent:
        await sent.answered(50)

    assert system.fibonacci.stop() == 0

    dropped = system.fibonacci.wait_for("stats.dropped")
    flushed = system.fibonacci.wait_for("stats.flushed")
    assert dropped["count"] == sent.sent
    assert (flushed["served"], flushed["recorded"], flushed["dropped"]) == (sent.sent, 0, sent.sent)
