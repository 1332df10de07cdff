"""A bounded load of GET /fib that keeps count of what came back."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import httpx

WORKERS = 8
PAUSE_SECONDS = 0.01
#: Few enough that GET /stats shows them all.
INDICES = 40


class Load:
    """How many answers of each HTTP status came back, where status 0 is a connection that failed."""

    def __init__(self) -> None:
        self.asked = 0
        self.statuses: Counter[int] = Counter()
        #: How often each number was answered.
        self.numbers: Counter[int] = Counter()
        self._answered = asyncio.Condition()

    @property
    def sent(self) -> int:
        return sum(self.statuses.values())

    @property
    def succeeded(self) -> int:
        return self.statuses[200]

    async def note(self, n: int, status: int) -> None:
        self.statuses[status] += 1
        if status == 200:
            self.numbers[n] += 1
        async with self._answered:
            self._answered.notify_all()

    async def answered(self, more: int) -> None:
        """Waits until so many more answers have come."""
        goal = self.sent + more
        async with asyncio.timeout(30), self._answered:
            await self._answered.wait_for(lambda: self.sent >= goal)


@asynccontextmanager
async def load(url: str, *, asked: Iterable[int] = range(INDICES), workers: int = WORKERS) -> AsyncIterator[Load]:
    """Some workers ask one number after another until this is left; then every answer has been noted."""
    result = Load()
    stopping = asyncio.Event()
    indices = itertools.cycle(asked)

    async def work(client: httpx.AsyncClient) -> None:
        while not stopping.is_set():
            n = next(indices)
            result.asked += 1
            try:
                response = await client.get(f"{url}/fib", params={"n": n})
                await result.note(n, response.status_code)
            except httpx.TransportError:
                await result.note(n, 0)
            await asyncio.sleep(PAUSE_SECONDS)

    async with httpx.AsyncClient(timeout=30) as client, asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work(client))
        try:
            yield result
        finally:
            stopping.set()
