"""Whatever is sent to the real processes, it is answered or refused, and what is answered after it is counted."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc
import httpx
import pytest

from deploy.local.processes import System
from tests.system.account import total
from tests.system.fuzzer import METHODS, is_decodable, messages, queries, raw_requests

pytestmark = pytest.mark.slow

SEED = 20_011_235
RAW_REQUESTS = 2_500
QUERIES = 2_500
MESSAGES = 2_000
WORKERS = 16
NORMAL_REQUESTS = 100

T = TypeVar("T")

#: The status of an answer, and what is wrong with it.
Verdict = tuple[object, str]
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LEAK = re.compile(r"Traceback|File \"|\b[A-Z]\w+(?:Error|Exception)\b|<class '")
_REFUSED = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE}


async def test_malformed_http_is_refused_and_nothing_leaks(system: System) -> None:
    random_ = random.Random(SEED)  # noqa: S311 - it has to repeat itself
    connections = await sent(raw_requests(random_, RAW_REQUESTS), lambda request: over_socket(system, request))
    async with httpx.AsyncClient(base_url=system.url, timeout=30, trust_env=False) as client:
        answers = await sent(queries(random_, QUERIES), lambda request: over_http(client, *request))
    assert connections[400] > RAW_REQUESTS / 10
    assert connections[200] > RAW_REQUESTS / 100
    assert min(answers[status] for status in (200, 400, 404, 405)) > QUERIES / 100
    await assert_unharmed(system)


async def test_malformed_messages_are_refused_and_nothing_leaks(system: System) -> None:
    random_ = random.Random(SEED)  # noqa: S311 - it has to repeat itself
    async with methods(system) as calls:
        answers = await sent(messages(random_, MESSAGES), lambda request: over_grpc(calls, *request))
    assert answers[grpc.StatusCode.OK] > MESSAGES / 20
    assert answers[grpc.StatusCode.INVALID_ARGUMENT] > MESSAGES / 20
    await assert_unharmed(system)


async def sent(requests: Iterator[T], send: Callable[[T], Awaitable[Verdict]]) -> Counter[object]:
    """Sends every request, some at a time, and counts the statuses. Fails with the requests that did harm."""
    statuses: Counter[object] = Counter()
    harmful: list[tuple[T, Verdict]] = []

    async def work() -> None:
        for request in requests:
            verdict = await send(request)
            statuses[verdict[0]] += 1
            if verdict[1]:
                harmful.append((request, verdict))

    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(work())
    assert not harmful, f"{len(harmful)} of them, such as {harmful[:3]}"
    return statuses


async def over_socket(system: System, request: bytes) -> Verdict:
    """Everything that comes back until the server closes, or is silent because it waits for the rest of a body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", system.gateway.port)
    answer = b""
    try:
        writer.write(request)
        async with asyncio.timeout(0.5):
            while read := await reader.read(65_536):
                answer += read
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.transport.abort()
    statuses = [int(status) for status in _STATUS.findall(answer)]
    worst = max(statuses, default=0)
    return statuses[0] if statuses else 0, fault(worst, answer.decode("latin-1"))


async def over_http(client: httpx.AsyncClient, method: str, target: str, headers: dict[bytes, bytes]) -> Verdict:
    response = await client.request(method, target, headers=headers)
    return response.status_code, fault(response.status_code, response.text)


def fault(status: int, text: str) -> str:
    leak = _LEAK.search(text)
    return f"status {status}" if status >= 500 else leak.group() if leak else ""


@asynccontextmanager
async def methods(system: System) -> AsyncIterator[dict[str, Any]]:
    """Every method under its name, taking and giving bytes."""
    ports = {"fibonacci": system.fibonacci.port, "stats": system.stats.port}
    channels = {name: grpc.aio.insecure_channel(f"127.0.0.1:{port}") for name, port in ports.items()}
    try:
        yield {name: channels[name[1:].partition(".")[0]].unary_unary(name) for name in METHODS}
    finally:
        for channel in channels.values():
            await channel.close()


async def over_grpc(calls: dict[str, Any], method: str, request: bytes) -> Verdict:
    try:
        await calls[method](request, timeout=30, wait_for_ready=True)
    except grpc.aio.AioRpcError as error:
        return error.code(), grpc_fault(error, decodable=is_decodable(method, request))
    return grpc.StatusCode.OK, ""


def grpc_fault(error: grpc.aio.AioRpcError, *, decodable: bool) -> str:
    details = error.details() or ""
    expected = _REFUSED if decodable else {grpc.StatusCode.INVALID_ARGUMENT}
    refused = error.code() in expected and _LEAK.search(details) is None
    return "" if refused else f"{error.code().name}: {details}"


async def assert_unharmed(system: System) -> None:
    """Normal requests are answered and counted one by one, no request crashed, and every process ends in order."""
    restart_fibonacci(system)
    before = total(system)
    async with httpx.AsyncClient(base_url=system.url, timeout=30, trust_env=False) as client:
        answers = [(await client.get("/fib?n=10")).json() for _ in range(NORMAL_REQUESTS)]
    assert answers == [{"n": 10, "x": 55, "value": "55"}] * NORMAL_REQUESTS
    restart_fibonacci(system)
    assert before >= 0
    assert total(system) - before == NORMAL_REQUESTS
    for service in reversed(system.services):
        assert service.stop() == 0
        assert service.count("http.crashed") + service.count("rpc.crashed") + service.count("task.crashed") == 0


def restart_fibonacci(system: System) -> None:
    """Once fibonacci_service has ended, what it answered is recorded."""
    assert system.fibonacci.stop() == 0
    system.fibonacci.start()
