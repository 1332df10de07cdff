import asyncio
from collections.abc import Iterator, MutableMapping
from typing import Any

import grpc
import httpx
import pytest
from structlog.testing import capture_logs

from tests.api_gateway.streaming_neighbour import (
    LARGE_N,
    MAX_N,
    PIECE_BYTES,
    Before,
    StreamingFibonacci,
    client_before,
    digits_of,
    failing_at,
    gateway_before,
    nothing,
    stopping_at,
    until_connected,
)

JSON = {"Accept": "application/json"}
TEXT = {"Accept": "text/plain"}
GZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture
def log_entries() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as entries:
        yield entries


async def test_a_stream_that_is_unavailable_at_first_is_asked_for_again() -> None:
    fibonacci = StreamingFibonacci(failing_at(0, grpc.StatusCode.UNAVAILABLE, times=2))
    async with client_before(fibonacci) as client:
        assert (await client.get(f"/fib?n={LARGE_N}", headers=TEXT)).content == digits_of(LARGE_N)
    assert len(fibonacci.calls) == 3


async def test_a_stream_that_does_not_begin_by_the_deadline_is_given_up() -> None:
    fibonacci = StreamingFibonacci(stopping_at(0))
    async with client_before(fibonacci, deadline_seconds=1) as client:
        await until_connected(client)
        assert (await client.get(f"/fib?n={LARGE_N}", headers=TEXT)).status_code == 504
        await fibonacci.cancelled.wait()


async def test_the_deadline_does_not_cut_off_what_has_begun() -> None:
    fibonacci = StreamingFibonacci()
    async with client_before(fibonacci) as client:
        await client.get(f"/fib?n={LARGE_N}", headers=TEXT)
    assert fibonacci.time_limits == [None]


@pytest.mark.parametrize("headers", [TEXT, JSON, TEXT | GZIP, TEXT | {"Range": "bytes=10-"}])
@pytest.mark.parametrize(
    ("before", "cut_bytes", "cause"),
    [
        (failing_at(5, grpc.StatusCode.UNAVAILABLE), 0, "UNAVAILABLE: told to fail"),
        (stopping_at(5), 0, "nothing for 1 s"),
        (nothing, 1, "1 bytes less than announced"),
    ],
)
async def test_a_stream_that_fails_breaks_the_connection(
    before: Before, cut_bytes: int, cause: str, headers: dict[str, str], log_entries: list[MutableMapping[str, Any]]
) -> None:
    servicer = StreamingFibonacci(before, cut_bytes=cut_bytes)
    async with client_before(servicer, deadline_seconds=1) as client:
        await until_connected(client)
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"/fib?n={LARGE_N}", headers=headers)
        assert (await client.get("/fib?n=10")).status_code == 200
    assert [call[0] for call in servicer.calls] == ["StreamFib", "ExchangeFib"]
    broken = [entry for entry in log_entries if entry["event"] == "http.broken_off"]
    assert broken == [
        {
            "event": "http.broken_off",
            "log_level": "warning",
            "path": "/fib",
            "error": f"fibonacci_service broke off: {cause}",
        }
    ]


async def test_no_byte_is_sent_that_was_not_announced(log_entries: list[MutableMapping[str, Any]]) -> None:
    async with client_before(StreamingFibonacci(cut_bytes=-1)) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"/fib?n={LARGE_N}", headers=TEXT | {"Range": "bytes=0-99"})
    broken = [entry["error"] for entry in log_entries if entry["event"] == "http.broken_off"]
    assert broken == ["fibonacci_service broke off: 1 bytes more than announced"]


@pytest.mark.parametrize("stopping", [0, 3])
async def test_the_call_is_cancelled_when_the_client_goes_away_while_it_waits(stopping: int) -> None:
    arrived = asyncio.Event()

    async def stop(piece: int, _context: Any) -> None:
        if piece == stopping:
            arrived.set()
            await asyncio.Event().wait()

    fibonacci = StreamingFibonacci(stop)
    async with gateway_before(fibonacci, deadline_seconds=600) as port:
        _, writer = await download(port, LARGE_N)
        await arrived.wait()
        writer.transport.abort()
        await fibonacci.cancelled.wait()


async def test_the_call_is_cancelled_when_the_client_goes_away_without_reading() -> None:
    fibonacci = StreamingFibonacci()
    async with gateway_before(fibonacci, deadline_seconds=600) as port:
        reader, writer = await download(port, MAX_N)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.transport.abort()
        await fibonacci.cancelled.wait()
    assert fibonacci.sent_pieces < len(digits_of(MAX_N)) / PIECE_BYTES


async def download(port: int, n: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare connection on which the digits of a number were asked for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 10)
    writer.write(b"GET /fib?n=%d HTTP/1.1\r\nHost: test\r\nAccept: text/plain\r\n\r\n" % n)
    return reader, writer
