"""fibonacci_service away: a short absence costs no failed request, a long one is a clear 503."""

import asyncio
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from deploy.local.processes import System
from tests.system.account import settled_total
from tests.system.load import load

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
async def test_a_restart_of_one_second_under_load_fails_no_request(system: System, how: signal.Signals) -> None:
    async with load(system.url) as sent:
        for _ in range(3):
            await sent.answered(100)
            await asyncio.to_thread(system.fibonacci.stop, how)
            await asyncio.sleep(1)
            await asyncio.to_thread(system.fibonacci.start)
        await sent.answered(100)

    assert sent.statuses == {200: sent.sent}


async def test_sigterm_under_load_loses_no_record(system: System) -> None:
    async with load(system.url) as sent:
        await sent.answered(300)
        assert await asyncio.to_thread(system.fibonacci.stop) == 0
        await asyncio.to_thread(system.fibonacci.start)
        await sent.answered(100)

    first_life = system.fibonacci.wait_for("stats.flushed")
    assert first_life["dropped"] == 0
    # A request whose answer was lost on its way is asked again and counted again.
    assert sent.sent <= settled_total(system, sent.sent) <= sent.sent + 16


def test_a_longer_absence_is_a_503_at_the_deadline(tmp_path: Path) -> None:
    settings = {"GATEWAY_DEADLINE_SECONDS": 2}  # a gateway held up for all of it would not know who is away
    with System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3", settings=settings) as system:
        httpx.get(f"{system.url}/fib?n=10").raise_for_status()
        system.fibonacci.kill()

        started = time.monotonic()
        response = httpx.get(f"{system.url}/fib?n=10", timeout=30)

        assert 1.9 < time.monotonic() - started < 7
        assert response.status_code == 503
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.headers["Retry-After"] == "1"
        assert response.json()["detail"] == "fibonacci_service is not available"
        assert httpx.get(f"{system.url}/livez").status_code == 200
        assert httpx.get(f"{system.url}/readyz").status_code == 503


def test_a_hung_service_is_a_504(tmp_path: Path) -> None:
    settings = {"GATEWAY_DEADLINE_SECONDS": 1}  # a ping that is on its way at the SIGSTOP has two
    with System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3", settings=settings) as system:
        httpx.get(f"{system.url}/fib?n=10").raise_for_status()
        system.fibonacci.send(signal.SIGSTOP)

        with ThreadPoolExecutor() as threads:  # at once, before the connection is given up for its silence
            hung = list(threads.map(lambda n: httpx.get(f"{system.url}/fib?n={n}", timeout=30), (10, 5000)))
        assert [answer.status_code for answer in hung] == [504, 504]

        system.fibonacci.send(signal.SIGCONT)
        assert httpx.get(f"{system.url}/fib?n=10", timeout=30).status_code == 200
