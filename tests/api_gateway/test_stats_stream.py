import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from api_gateway.stats_stream import StatsStream
from service_kit.grpc_channel import open_channel
from service_kit.pb.stats.stats_pb2 import WatchStatsRequest
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from tests.api_gateway.neighbours import gateway_to, serving
from tests.api_gateway.watching_neighbour import WatchingStats, message

#: What may be under way in the buffers of gRPC and of two connections.
BUFFERED_BYTES = 64 << 20
COMMENT = b": ping\n\n"


@asynccontextmanager
async def opened(stats: WatchingStats, ending: asyncio.Event) -> AsyncIterator[AsyncGenerator[bytes, None]]:
    """The events of a stream that gets a comment every 20 ms."""
    async with serving(stats) as target, open_channel(target) as channel:
        call = StatsStub(channel).WatchStats(WatchStatsRequest(), wait_for_ready=True)
        stream = StatsStream(call, service="stats_service", keep_alive_seconds=0.02)
        await stream.open()
        async with contextlib.aclosing(stream.events(ending)) as events:
            yield events
        stream.close()


async def test_a_silent_stream_gets_comments_and_loses_no_event_by_them() -> None:
    stats = WatchingStats()
    async with opened(stats, asyncio.Event()) as events:
        assert (await anext(events)).startswith(b"event: stats\n")
        for total in (3, 4, 5):
            assert await anext(events) == COMMENT
            stats.messages.put_nowait(message(total=total))
            while (event := await anext(events)) == COMMENT:
                pass
            assert b'"total_requests":%d,' % total in event


async def test_a_stream_that_is_to_end_ends_without_another_word() -> None:
    ending = asyncio.Event()
    async with opened(WatchingStats(), ending) as events:
        await anext(events)
        ending.set()
        assert [event async for event in events] == []


async def test_an_event_is_one_line_of_data() -> None:
    async with opened(WatchingStats(), asyncio.Event()) as events:
        lines = (await anext(events)).split(b"\n")
    assert [line.partition(b": ")[0] for line in lines] == [b"event", b"data", b"retry", b"", b""]


@pytest.mark.slow
async def test_a_silent_stream_of_the_gateway_gets_a_comment_every_15_seconds() -> None:
    async with gateway_to(WatchingStats()) as client, client.stream("GET", "/stats/stream") as response:
        chunks = response.aiter_bytes()
        started = time.monotonic()  # no later than the clock of the gateway
        await anext(chunks)
        for number in (1, 2):
            assert await anext(chunks) == COMMENT
            assert number * 15 - 0.5 < time.monotonic() - started < number * 15 + 5


async def test_a_reader_that_stops_stops_the_service_and_its_going_ends_the_call() -> None:
    stats = WatchingStats()
    large = message(*range(1_000, 6_000))
    count = 4 * BUFFERED_BYTES // large.ByteSize()
    for _ in range(count):
        stats.messages.put_nowait(large)
    async with gateway_to(stats, deadline_seconds=600) as client:
        connection = await asked(client)
        sent = await settled(stats)
        assert sent * large.ByteSize() < BUFFERED_BYTES
        assert not stats.cancelled.is_set()
        connection.close()
        await stats.cancelled.wait()
    assert stats.sent < count


async def asked(client: httpx.AsyncClient) -> socket.socket:
    """A bare connection with a small buffer, on which the stream was asked for."""
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, (client.base_url.host, client.base_url.port))
    await loop.sock_sendall(connection, b"GET /stats/stream HTTP/1.1\r\nHost: test\r\n\r\n")
    return connection


async def settled(stats: WatchingStats) -> int:
    """How many messages were sent once there have been no more for half a second."""
    sent, since = -1, time.monotonic()
    while sent < 1 or time.monotonic() < since + 0.5:
        if stats.sent != sent:
            sent, since = stats.sent, time.monotonic()
        await asyncio.sleep(0.01)
    return sent
