"""Ranges that end before their end: by the service, and by the client."""

import asyncio
import socket
import time
from typing import Any

import grpc
import httpx
import pytest

from tests.api_gateway.connections import answer_to
from tests.api_gateway.neighbours import gateway_to, until_ready
from tests.api_gateway.ranging_neighbour import RangingFibonacci
from tests.api_gateway.streaming_neighbour import Before, failing_at, nothing, stopping_at

#: What may be under way in the buffers of gRPC and of two connections.
BUFFERED_BYTES = 64 << 20
PIECE_BYTES = 64 << 10


@pytest.mark.parametrize("accept", ["application/jsonl", "text/event-stream"])
@pytest.mark.parametrize(
    ("before", "left_out"),
    [
        (failing_at(5, grpc.StatusCode.UNAVAILABLE), 0),
        (failing_at(5, grpc.StatusCode.INTERNAL), 0),
        (stopping_at(5), 0),
        (nothing, 1),
    ],
    ids=["unavailable", "internal", "stalled", "one number short"],
)
async def test_a_range_that_fails_in_the_middle_breaks_the_connection(
    before: Before, left_out: int, accept: str
) -> None:
    fibonacci = RangingFibonacci(before, left_out=left_out)
    async with gateway_to(fibonacci, deadline_seconds=1) as client:
        await until_ready(client)
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/fib/range?count=10", headers={"Accept": accept})
        assert (await client.get("/fib?n=10")).status_code == 200
    assert fibonacci.ranges == [(0, 10)]


@pytest.mark.parametrize(("numbers", "sent", "whole"), [(1, 10, True), (3, 9, False)], ids=["behind", "in a piece"])
async def test_no_number_is_sent_that_was_not_asked_for(*, numbers: int, sent: int, whole: bool) -> None:
    async with gateway_to(RangingFibonacci(numbers=numbers, left_out=-5)) as client:
        head = b"GET /fib/range?count=10 HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"
        answer = await answer_to(client, head)
    assert answer.count(b'"value"') == sent
    assert answer.endswith(b"0\r\n\r\n") is whole


async def test_a_range_that_fails_at_first_is_asked_for_again() -> None:
    fibonacci = RangingFibonacci(failing_at(0, grpc.StatusCode.UNAVAILABLE, times=2))
    async with gateway_to(fibonacci) as client:
        assert len((await client.get("/fib/range?count=10")).text.splitlines()) == 10
    assert len(fibonacci.ranges) == 3


async def test_a_range_that_does_not_begin_by_the_deadline_is_a_problem() -> None:
    fibonacci = RangingFibonacci(stopping_at(0))
    async with gateway_to(fibonacci, deadline_seconds=1) as client:
        await until_ready(client)
        assert (await client.get("/fib/range?count=10")).status_code == 504
        await fibonacci.cancelled.wait()


async def test_a_range_without_a_first_piece_is_a_problem() -> None:
    async with gateway_to(RangingFibonacci(left_out=10)) as client:
        assert (await client.get("/fib/range?count=10")).status_code == 500


@pytest.mark.parametrize("stopping", [0, 3])
async def test_the_call_is_cancelled_when_the_client_goes_away_while_it_waits(stopping: int) -> None:
    arrived = asyncio.Event()

    async def stop(piece: int, _context: Any) -> None:
        if piece == stopping:
            arrived.set()
            await asyncio.Event().wait()

    fibonacci = RangingFibonacci(stop)
    async with gateway_to(fibonacci, deadline_seconds=600) as client:
        connection = await asked(client, count=10)
        await arrived.wait()
        connection.close()
        await fibonacci.cancelled.wait()


async def test_a_reader_that_stops_stops_the_service_and_its_going_ends_the_call() -> None:
    count = 4 * BUFFERED_BYTES // PIECE_BYTES
    fibonacci = RangingFibonacci(digits=PIECE_BYTES)
    async with gateway_to(fibonacci, deadline_seconds=600) as client:
        connection = await asked(client, count=count)
        sent = await settled_pieces(fibonacci)
        assert sent * PIECE_BYTES < BUFFERED_BYTES
        await drained(connection, 2 * sent * PIECE_BYTES)
        assert fibonacci.sent_pieces > sent
        assert not fibonacci.cancelled.is_set()
        connection.close()
        await fibonacci.cancelled.wait()
    assert fibonacci.sent_pieces < count


async def asked(client: httpx.AsyncClient, *, count: int) -> socket.socket:
    """A bare connection with a small buffer, on which a range was asked for."""
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, (client.base_url.host, client.base_url.port))
    await loop.sock_sendall(connection, b"GET /fib/range?count=%d HTTP/1.1\r\nHost: test\r\n\r\n" % count)
    return connection


async def settled_pieces(fibonacci: RangingFibonacci) -> int:
    """How many pieces were sent once there have been no more for half a second."""
    sent, since = -1, time.monotonic()
    while sent < 1 or time.monotonic() < since + 0.5:
        if fibonacci.sent_pieces != sent:
            sent, since = fibonacci.sent_pieces, time.monotonic()
        await asyncio.sleep(0.01)
    return sent


async def drained(connection: socket.socket, size: int) -> None:
    loop = asyncio.get_running_loop()
    while size > 0:
        size -= len(await loop.sock_recv(connection, 1 << 20))
