"""Slow clients of the three real processes, with the bounds that are set by default."""

import asyncio
import contextlib

import httpx
import pytest

from deploy.local.processes import System
from tests.slow_clients import connected_with_a_small_window, seconds_of_sending_slowly, seconds_until_broken

pytestmark = [pytest.mark.slow]

CLIENTS = 50
REQUEST = b"GET /fib?n=10000000 HTTP/1.1\r\nHost: gateway\r\n\r\n"


async def test_fifty_that_send_slowly_and_fifty_that_do_not_read_are_gone_within_ten_seconds_and_hurt_nobody(
    system: System,
) -> None:
    address = ("127.0.0.1", system.gateway.port)
    async with (
        httpx.AsyncClient(base_url=system.url, timeout=10) as client,
        contextlib.AsyncExitStack() as stack,
    ):
        await client.get("/fib?n=10000000")  # so that what follows is about reading alone
        readers = [await stack.enter_async_context(connected_with_a_small_window(*address)) for _ in range(CLIENTS)]
        for reader in readers:
            reader.send(REQUEST)
        async with asyncio.TaskGroup() as group:
            senders = [group.create_task(seconds_of_sending_slowly(*address)) for _ in range(CLIENTS)]
            broken = group.create_task(seconds_until_broken(readers))
            while not all(task.done() for task in (*senders, broken)):
                answer = await client.get("/fib?n=10", headers={"Connection": "close"}, timeout=2)
                assert answer.json()["x"] == 55
                await asyncio.wait([*senders, broken], timeout=0.2)

    assert max(sender.result() for sender in senders) < 10
    assert max(broken.result()) < 10
