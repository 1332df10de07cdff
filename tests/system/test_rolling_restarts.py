"""Every service restarted in turn, two replicas of each, under constant load: no request fails, no record is lost."""

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence

import httpx
import pytest

from deploy.local.processes import ServiceProcess
from tests.postgres import Postgres
from tests.system.account import counted_batches, read_recorder, settled_over
from tests.system.conftest import Report
from tests.system.load import Load, load
from tests.system.replicas import Replicas, running_replicas

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: Of each kind, and so ten rounds.
ROUNDS = 5
#: Cheap ones, which travel in batches, and dear ones, which go alone; few enough that GET /stats shows them all.
ASKED = (*range(30), *range(2_000, 2_010))
#: Some hundred requests a restart; more would only take the processor from the process that starts.
WORKERS = 3
STATS_PAUSE_SECONDS = 0.1


@pytest.fixture
def replicas(postgres: Postgres) -> Iterator[Replicas]:
    with running_replicas(postgres.new_database()) as running:
        yield running


@contextlib.asynccontextmanager
async def loaded(replicas: Replicas) -> AsyncIterator[Load]:
    """A load, while GET /stats is read all the while too; in neither has any request failed when this is left."""
    async with load(replicas.url, asked=ASKED, workers=WORKERS) as sent, reading_stats(replicas.url) as stats_statuses:
        await sent.answered(100)
        yield sent
        await sent.answered(100)
    assert sent.statuses == {200: sent.sent}
    assert set(stats_statuses) == {200}


@contextlib.asynccontextmanager
async def reading_stats(url: str) -> AsyncIterator[Counter[int]]:
    """How many answers of each status GET /stats had, when this is left."""
    statuses: Counter[int] = Counter()
    stopping = asyncio.Event()

    async def read() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            while not stopping.is_set():
                statuses[(await client.get("/stats")).status_code] += 1
                await asyncio.sleep(STATS_PAUSE_SECONDS)

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        try:
            yield statuses
        finally:
            stopping.set()


async def restarted(replicas: Replicas, service: Sequence[ServiceProcess]) -> None:
    """One replica after the other."""
    for replica in service:
        assert await replicas.restart(replica) == 0


async def test_rolling_restarts_of_every_service_fail_no_request_and_lose_no_record(
    replicas: Replicas, report: Report
) -> None:
    services = (replicas.stats, replicas.fibonacci, replicas.gateways)
    started = time.monotonic()
    async with loaded(replicas) as sent:
        for _ in range(ROUNDS):
            for service in services:  # in turn
                await restarted(replicas, service)
            await asyncio.gather(*[restarted(replicas, service) for service in services])  # all at the same time
    account = await settled_over(replicas.fibonacci, replicas.stats[0], sent)

    report(f"{account} rounds {2 * ROUNDS} in {time.monotonic() - started:.0f} s")
    assert account.dropped == 0
    assert account.is_exact


async def test_killed_replicas_of_the_inner_services_cost_no_request(replicas: Replicas) -> None:
    async with loaded(replicas):
        for replica in (*replicas.fibonacci, *replicas.stats):
            await replicas.restart(replica, signal.SIGKILL)


async def test_both_replicas_of_each_service_get_their_share_of_the_work(replicas: Replicas) -> None:
    async with load(replicas.url, asked=ASKED) as sent:
        await sent.answered(1_500)
    served = [(await read_recorder(replica)).served for replica in replicas.fibonacci]
    batches = [counted_batches(replica) for replica in replicas.stats]

    assert sum(served) == sent.sent
    assert min(served) > 0.15 * sum(served)
    assert min(batches) > 0.15 * sum(batches)
