"""Requests at a steady rate, whatever the answers do: an open loop, so that a slow answer delays no other."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus

from bench.answers import answer
from bench.connections import Connections
from bench.errors import BenchmarkFailed

TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Resource:
    """What is asked for, and whether the body that came is right."""

    path: str
    is_right: Callable[[bytes], bool]


SMALL_NUMBER = Resource("/fib?n=10", answer(10).__eq__)


async def due_times(*, per_second: float, seconds: float) -> AsyncIterator[float]:
    """One moment after the other of `perf_counter`, each once it is there."""
    started = time.perf_counter() + 0.05
    for number in range(int(per_second * seconds)):
        moment = started + number / per_second
        await asyncio.sleep(max(0.0, moment - time.perf_counter()))
        yield moment


def latencies_ms(port: int, resource: Resource, *, per_second: int, seconds: float) -> list[float]:
    """Each from the moment when its request was due. Raises BenchmarkFailed where an answer is not what it must be."""
    return asyncio.run(_latencies_ms(port, resource, per_second, seconds))


async def _latencies_ms(port: int, resource: Resource, per_second: int, seconds: float) -> list[float]:
    connections = Connections(port)
    try:
        async with asyncio.timeout(seconds + TIMEOUT_SECONDS), asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_latency_ms(connections, resource, due))
                async for due in due_times(per_second=per_second, seconds=seconds)
            ]
    except ExceptionGroup as errors:
        raise BenchmarkFailed(f"GET {resource.path} at a steady rate: {errors.exceptions[0]!r}") from None
    finally:
        connections.close()
    return [task.result() for task in tasks]


async def _latency_ms(connections: Connections, resource: Resource, due: float) -> float:
    response = await connections.get(resource.path)
    ended = time.perf_counter()
    if response.status != HTTPStatus.OK or not resource.is_right(response.body):
        raise ValueError(f"answered {response.status} {response.body[:200]!r}")
    return (ended - due) * 1000
