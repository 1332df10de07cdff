"""Requests at a steady rate, whatever the answers do: an open loop, so that a slow answer delays no other."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.answers import answer
from bench.errors import BenchmarkFailed

#: Connections that may be open at once; 200 requests a second need them only when answers take over a second.
MAX_CONNECTIONS = 256
TIMEOUT_SECONDS = 20.0
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Resource:
    """What is asked for, and whether the body that came is right."""

    path: str
    is_right: Callable[[bytes], bool]


SMALL_NUMBER = Resource("/fib?n=10", answer(10).__eq__)


def latencies_ms(port: int, resource: Resource, *, per_second: int, seconds: float) -> list[float]:
    """Each from the moment when its request was due. Raises BenchmarkFailed where an answer is not what it must be."""
    return asyncio.run(_Steady(port, resource).run(per_second, seconds))


class _Steady:
    def __init__(self, port: int, resource: Resource) -> None:
        self._port = port
        self._resource = resource
        self._request = f"GET {resource.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: identity\r\n\r\n".encode()
        self._idle: list[Connection] = []
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)

    async def run(self, per_second: int, seconds: float) -> list[float]:
        started = time.perf_counter() + 0.05
        due = [started + number / per_second for number in range(int(per_second * seconds))]
        try:
            async with asyncio.timeout(seconds + TIMEOUT_SECONDS), asyncio.TaskGroup() as group:
                tasks = []
                for moment in due:
                    await asyncio.sleep(max(0.0, moment - time.perf_counter()))
                    tasks.append(group.create_task(self._ask(moment)))
        except ExceptionGroup as errors:
            raise BenchmarkFailed(f"GET {self._resource.path} at a steady rate: {errors.exceptions[0]!r}") from None
        finally:
            for _, writer in self._idle:
                writer.close()
        return [task.result() for task in tasks]

    async def _ask(self, due: float) -> float:
        async with self._connection() as (reader, writer):
            writer.write(self._request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
        ended = time.perf_counter()
        if not (head.startswith(b"HTTP/1.1 200 ") and self._resource.is_right(body)):
            raise ValueError(f"answered {head[:20]!r} {body[:200]!r}")
        return (ended - due) * 1000

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """One that is idle, or a new one; it is kept for the next request unless the answer was not read."""
        async with self._places:
            connection = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
            try:
                yield connection
            except BaseException:
                connection[1].close()
                raise
            self._idle.append(connection)
