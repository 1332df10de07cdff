"""The three processes under a mixed load with faults, for minutes: what they hold stays what it was.

SOAK_MINUTES says how long. asyncio's debug mode watches them meanwhile, and may have nothing to say.
"""

import asyncio
import itertools
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.processes import ServiceProcess, System
from tests.system.conftest import Report
from tests.system.resources import descriptor_count, own_bytes, thread_count
from tests.system.scraped import scraped
from tests.system.workers import wait_until, workers_of

MINUTES = float(os.environ.get("SOAK_MINUTES") or 10)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(60 * MINUTES + 120)]

CLIENTS = 6
PAUSE_SECONDS = 0.02
FAULTS = {
    "FIBONACCI_FAULT_ERROR_PROBABILITY": 0.01,
    "FIBONACCI_FAULT_DELAY_PROBABILITY": 0.01,
    "FIBONACCI_FAULT_DELAY_SECONDS": 0.05,
    "GATEWAY_FAULT_ABORT_PROBABILITY": 0.005,
    "FIBONACCI_CACHE_BYTES": 16 << 20,  # so that it is full soon
    "FIBONACCI_MAX_N": 3_000_000,
}
SECONDS_BETWEEN_KILLS = 10
#: What is held may rise by so much from the middle to the end: heaps that fit what they were asked for at the worst.
MORE_BYTES = 12 << 20
MORE_DESCRIPTORS = MORE_TASKS = MORE_THREADS = 2
#: A callback that is slow tells of the machine, and of none of what debug mode is asked for here.
SLOW = "Executing"


@dataclass(frozen=True, slots=True)
class Held:
    byte_count: int
    descriptors: int
    threads: int
    tasks: int


def at_rest(system: System) -> dict[str, Held]:
    """What each process holds once its clients are gone, its records sent, and its workers ended."""
    for service in system.services:
        assert service.process.poll() is None, (service.program, service.process.poll(), service.lines[-10:])
    for pid in workers_of(system.fibonacci):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not workers_of(system.fibonacci))
    wait_until(lambda: scraped(system, system.gateway).value("http_server_connections") == 1)  # that of the scrape
    wait_until(lambda: scraped(system, system.fibonacci).value("fibonacci_records_pending") == 0)
    return {service.program: held(system, service) for service in system.services}


def held(system: System, service: ServiceProcess) -> Held:
    scrape = scraped(system, service)
    return Held(
        byte_count=own_bytes(service.pid),
        descriptors=descriptor_count(service.pid),
        threads=thread_count(service.pid),
        tasks=int(scrape.value("event_loop_tasks")),
    )


async def leave_early(client: httpx.AsyncClient, path: str) -> int:
    async with client.stream("GET", path) as response:
        async for _ in response.aiter_bytes():
            break
        return response.status_code


def requests(client: httpx.AsyncClient, random_: random.Random) -> Iterator[Callable[[], Coroutine[Any, Any, int]]]:
    """One kind of request after the other."""

    def get(path: str) -> Callable[[], Coroutine[Any, Any, int]]:
        async def ask() -> int:
            return (await client.get(path)).status_code

        return ask

    while True:
        n = random_.randrange(1_000)
        yield from (get(f"/fib?n={n}") for _ in range(5))
        yield get(f"/fib?n={n * 100}")
        yield get(f"/fib?n={300_000 + n}")
        yield get(f"/fib/batch?n={n}&n={n + 1}&n=5000")
        yield get(f"/fib/residue?n={10**30 + n}&modulus=97")
        yield get("/stats?limit=10")
        yield get("/fib?n=-1")
        yield lambda n=n: leave_early(client, f"/fib/range?start={n}&count=5000")  # type: ignore[misc]
        yield lambda: leave_early(client, "/stats/stream?interval=0.1")


class Soak:
    def __init__(self, system: System) -> None:
        self._system = system
        self._random = random.Random(20_011_235)  # noqa: S311 - it has to repeat itself
        self.statuses: Counter[int] = Counter()

    async def run(self, seconds: float) -> None:
        """Clients that ask, and a worker that is killed now and then."""
        ends = asyncio.get_running_loop().time() + seconds
        async with httpx.AsyncClient(base_url=self._system.url, timeout=30) as client, asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(self._ask(client, ends))
            group.create_task(self._kill_workers(ends))

    async def _ask(self, client: httpx.AsyncClient, ends: float) -> None:
        for request in requests(client, self._random):
            if asyncio.get_running_loop().time() > ends:
                return
            try:
                self.statuses[await request()] += 1
            except httpx.TransportError:
                self.statuses[0] += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def _kill_workers(self, ends: float) -> None:
        for _ in itertools.count():
            await asyncio.sleep(min(SECONDS_BETWEEN_KILLS, max(0.0, ends - asyncio.get_running_loop().time())))
            if asyncio.get_running_loop().time() >= ends:
                return
            for pid in sorted(workers_of(self._system.fibonacci))[:1]:
                os.kill(pid, signal.SIGKILL)


def test_nothing_grows_and_asyncio_has_nothing_to_say(tmp_path: Path, report: Report) -> None:
    system = System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3", settings=FAULTS)
    for service in system.services:
        service.settings |= {"PYTHONASYNCIODEBUG": "1", "PYTHONWARNINGS": "always::ResourceWarning"}
    with system:
        soak = Soak(system)
        asyncio.run(soak.run(60 * MINUTES / 2))
        middle = at_rest(system)
        asyncio.run(soak.run(60 * MINUTES / 2))
        end = at_rest(system)
        report(f"{MINUTES:g} minutes, answers {dict(soak.statuses)}; {middle} -> {end}")
        spoken = [line for service in system.services for line in service.lines if "event" not in line]
        exits = [service.stop() for service in reversed(system.services)]

    assert exits == [0, 0, 0]
    assert soak.statuses[200] > soak.statuses[0] + soak.statuses[503]
    for program, before in middle.items():
        after = end[program]
        assert after.byte_count < before.byte_count + MORE_BYTES, program
        assert after.descriptors <= before.descriptors + MORE_DESCRIPTORS, program
        assert after.threads <= before.threads + MORE_THREADS, program
        assert after.tasks <= before.tasks + MORE_TASKS, program
    assert not [line for line in spoken if SLOW not in line.get("text", "")]
