"""The only fibonacci_service falls silent, as a machine without power or network, and comes back."""

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from deploy.local.processes import System
from tests.system.account import settled
from tests.system.conftest import LOG_BATCHES, Report
from tests.system.load import Load

pytestmark = pytest.mark.slow

DEADLINE_SECONDS = 1.0
#: A connection is given up after 4 s of silence at the latest; the rest is for a slow machine.
GIVEN_UP_SECONDS = 15.0
#: A connection that is being opened is complete at once, and a further one is tried after a second.
BACK_SECONDS = 15.0
ASKED_WHILE_SILENT = 3


class Client:
    """Asks for another number each time, so that the account tells which of them were counted."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.sent = Load()

    async def ask(self) -> httpx.Response:
        n = self.sent.sent
        response = await self._client.get(f"/fib?n={n}")
        await self.sent.note(n, response.status_code)
        return response

    async def ask_until(self, status: int, *, seconds: float) -> Counter[int]:
        """What was answered before it."""
        before: Counter[int] = Counter()
        async with asyncio.timeout(seconds):
            while (answer := await self.ask()).status_code != status:
                before[answer.status_code] += 1
        return before


async def ready_again(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(BACK_SECONDS):
        while (await http.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.02)


async def test_silent_it_is_a_504_then_a_503_and_back_it_answers_and_every_answer_is_counted_once(
    tmp_path: Path, report: Report
) -> None:
    settings = LOG_BATCHES | {"GATEWAY_DEADLINE_SECONDS": DEADLINE_SECONDS}
    with System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3", settings=settings) as system:
        async with httpx.AsyncClient(base_url=system.url, timeout=30) as http:
            client = Client(http)
            await client.ask_until(200, seconds=BACK_SECONDS)
            system.fibonacci.send(signal.SIGSTOP)
            asked = time.monotonic()
            silent = await client.ask()
            waited_seconds = time.monotonic() - asked
            until_given_up = await client.ask_until(503, seconds=GIVEN_UP_SECONDS)
            gone = [await client.ask() for _ in range(ASKED_WHILE_SILENT)]
            ready = (await http.get("/readyz")).status_code
            system.fibonacci.send(signal.SIGCONT)
            # A request that comes to it with next to no time left is a 504, so none is asked until it is connected to.
            await ready_again(http)
            back = [await client.ask() for _ in range(20)]
        account = await settled(system, client.sent)

    unanswered = client.sent.sent - client.sent.succeeded
    report(f"{account}; {unanswered} unanswered, counted {sorted((account.counted - account.answered).elements())}")
    assert silent.status_code == 504
    assert silent.json()["detail"] == "fibonacci_service did not answer in time"
    assert waited_seconds > 0.9 * DEADLINE_SECONDS
    assert set(until_given_up) <= {504}
    assert [(answer.status_code, answer.headers["Retry-After"]) for answer in gone] == [(503, "1")] * ASKED_WHILE_SILENT
    assert ready == 503
    assert [answer.status_code for answer in back] == [200] * 20
    assert account.lost == 0
    assert max(account.counted.values()) == 1
    assert account.served == account.recorded == account.counted.total()
    assert account.doubled <= 1 + until_given_up[504]
