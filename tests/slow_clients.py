"""Clients of the gateway that send slowly, read slowly, or do not read."""

import asyncio
import contextlib
import select
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

PATIENCE_SECONDS = 20


@asynccontextmanager
async def connected_with_a_small_window(host: str, port: int) -> AsyncIterator[socket.socket]:
    """The kernel keeps next to nothing for a client that does not read."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (host, port))
        yield connection


async def seconds_of_sending_slowly(host: str, port: int, first: bytes = b"") -> float:
    """Sends one header line after another, `first` first and never the last, until the gateway closes."""
    started = time.monotonic()  # no later than the clock of the gateway
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: gateway\r\n" + first)
    closed = asyncio.ensure_future(reader.read())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not closed.done():
            with contextlib.suppress(ConnectionError, RuntimeError):  # the latter is uvloop's, of one that is closed
                writer.write(b"X-Slow: 1\r\n")
                await writer.drain()
            await asyncio.wait([closed], timeout=0.05)
    seconds = time.monotonic() - started
    writer.close()
    with contextlib.suppress(ConnectionError):
        closed.result()
        await writer.wait_closed()
    return seconds


async def seconds_until_broken(connections: Sequence[socket.socket]) -> list[float]:
    """Since now, until the gateway breaks each connection off; nothing is read."""
    return await asyncio.to_thread(_seconds_until_broken, connections, time.monotonic())


def _seconds_until_broken(connections: Sequence[socket.socket], started: float) -> list[float]:
    poll = select.poll()
    for connection in connections:
        poll.register(connection, 0)  # errors alone
    seconds: list[float] = []
    while len(seconds) < len(connections):
        broken = poll.poll(PATIENCE_SECONDS * 1000)
        assert broken, f"{len(connections) - len(seconds)} connections are open still"
        for descriptor, _ in broken:
            poll.unregister(descriptor)
            seconds.append(time.monotonic() - started)
    return seconds
