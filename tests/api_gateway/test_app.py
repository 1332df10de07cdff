import asyncio
from contextlib import AsyncExitStack

import httpx
import pytest

from tests.api_gateway.neighbours import Gate, TinyFibonacci, gateway_to, until_ready


async def test_a_stopping_gateway_finishes_the_requests_in_flight() -> None:
    gate = Gate()
    async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        running = gateway_to(TinyFibonacci(gate), drain_timeout_seconds=30, deadline_seconds=60)
        client = await stack.enter_async_context(running)
        await until_ready(client)
        async with httpx.AsyncClient(base_url=client.base_url, timeout=30) as stranger:
            flying = [asyncio.create_task(stranger.get(path)) for path in ("/fib?n=10", "/fib?n=5000")]
            await gate.holds(2)
            group.create_task(stack.aclose())
            await until_refused(client.base_url)
            gate.open()
            assert [response.status_code for response in await asyncio.gather(*flying)] == [200, 200]


async def until_refused(url: httpx.URL) -> None:
    """Waits until a new connection is refused, or reset as the listener closes."""
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection(url.host, url.port)
            except ConnectionError:
                return
            writer.close()


async def test_while_it_drains_each_answer_ends_its_connection_and_idle_ones_stay_until_the_delay_is_over() -> None:
    async with AsyncExitStack() as connections, AsyncExitStack() as stack, asyncio.timeout(30):
        client = await stack.enter_async_context(gateway_to(TinyFibonacci(), drain_delay_seconds=2))
        asking, failing, idle = [await connected(client.base_url, connections) for _ in range(3)]
        for connection in (asking, failing, idle):
            assert b"connection: close" not in await head(connection, "/fib?n=10")
        left = asyncio.create_task(stack.aclose())
        await until_not_ready(client.base_url)

        for connection, path in ((asking, "/fib?n=10"), (failing, "/fib?n=ten")):
            assert b"\r\nconnection: close\r\n" in await head(connection, path)
            assert await connection[0].read() == b""
        idle_stayed = not idle[0].at_eof() and not left.done()
        await left

        assert idle_stayed
        assert await idle[0].read() == b""


async def connected(url: httpx.URL, stack: AsyncExitStack) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(url.host, url.port)
    stack.callback(writer.close)
    return reader, writer


async def head(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], path: str) -> bytes:
    """The status line and the fields of the answer to a HEAD."""
    reader, writer = connection
    writer.write(b"HEAD %b HTTP/1.1\r\nHost: gateway\r\n\r\n" % path.encode())
    return await reader.readuntil(b"\r\n\r\n")


async def until_not_ready(url: httpx.URL) -> None:
    async with httpx.AsyncClient(base_url=url) as stranger:
        while (await stranger.get("/readyz")).status_code != 503:
            pass


async def test_a_stopped_gateway_refuses_connections() -> None:
    async with gateway_to(TinyFibonacci()) as client:
        url = client.base_url
        assert (await client.get("/livez")).status_code == 200
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(url.host, url.port)


async def test_two_gateways_run_beside_each_other() -> None:
    first, second = TinyFibonacci(), TinyFibonacci()
    async with gateway_to(first) as client, gateway_to(second) as other:
        await asyncio.gather(client.get("/fib?n=10"), other.get("/fib?n=5000"))
    assert (first.batches, first.alone, second.batches, second.alone) == ([[10]], [], [], [5_000])
