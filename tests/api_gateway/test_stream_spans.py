"""How the calls of streams end, at both ends: as answered where all was read, else as given up, which is no error."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from api_gateway.app import fibonacci_client, stats_client
from api_gateway.fibonacci_client import FibonacciClient
from api_gateway.settings import Settings
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci.fib_pb2 import DECIMAL, StreamFibRequest, StreamFibResponse
from service_kit.spans import Span
from service_kit.traced_channel import traced_channel
from service_kit.traces import Active
from tests.api_gateway.neighbours import serving as serving_tiny
from tests.api_gateway.ranging_neighbour import RangingFibonacci
from tests.api_gateway.streaming_neighbour import LARGE_N, StreamingFibonacci, digits_of, serving
from tests.api_gateway.watching_neighbour import WatchingStats
from tests.tracing import Exported

CODE = "rpc.response.status_code"


class LateStatus(StreamingFibonacci):
    """Sends every byte, and its status when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = asyncio.Event()
        self.ended = asyncio.Event()

    async def StreamFib(self, request: StreamFibRequest, context: Any) -> AsyncIterator[StreamFibResponse]:
        async for response in super().StreamFib(request, context):
            yield response
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        self.ended.set()


@asynccontextmanager
async def client_of(exported: Exported, target: str, **settings: Any) -> AsyncIterator[FibonacciClient]:
    """A client whose calls belong to a trace."""
    async with open_channel(target) as channel:
        await channel.channel_ready()  # so that no deadline is about the connection
        with Active(exported.tracer.begin("root")):
            yield fibonacci_client(Settings(**settings), traced_channel(channel, exported.tracer))


async def ended_span(exported: Exported) -> tuple[str, bool]:
    span: Span = await exported.one("client")
    return str(span.attributes[CODE]), span.is_error


async def test_a_number_that_was_read_whole_ends_as_its_service_ends_it() -> None:
    exported, fibonacci = Exported(), LateStatus()
    async with serving(fibonacci) as target, client_of(exported, target) as client:
        stream = await client.stream(LARGE_N, DECIMAL)
        came = b""
        while piece := await stream.read():
            came += piece
        stream.close()
        assert exported.spans == []
        fibonacci.may_end.set()
        assert await ended_span(exported) == ("OK", False)

    assert came == digits_of(LARGE_N)
    assert fibonacci.ended.is_set()
    assert not fibonacci.cancelled.is_set()


async def test_nothing_is_kept_open_for_longer_than_a_stall_for_a_status_that_does_not_come() -> None:
    exported, fibonacci = Exported(), LateStatus()
    async with (
        serving(fibonacci) as target,
        client_of(exported, target, deadline_seconds=1) as client,
    ):
        stream = await client.stream(LARGE_N, DECIMAL, length=1)
        assert await stream.read() == digits_of(LARGE_N)[:1]
        assert await stream.read() == b""
        stream.close()
        await fibonacci.cancelled.wait()
        assert await ended_span(exported) == ("CANCELLED", False)


async def test_the_first_byte_alone_is_all_of_what_was_asked() -> None:
    exported = Exported()
    async with serving(StreamingFibonacci()) as target, client_of(exported, target) as client:
        (await client.stream(LARGE_N, DECIMAL, length=1)).close()
        assert await ended_span(exported) == ("OK", False)


async def test_a_number_that_nobody_reads_to_its_end_is_given_up_and_is_no_error() -> None:
    exported, fibonacci = Exported(), StreamingFibonacci()
    async with serving(fibonacci) as target, client_of(exported, target) as client:
        stream = await client.stream(LARGE_N, DECIMAL)
        await stream.read()
        stream.close()
        assert await ended_span(exported) == ("CANCELLED", False)


async def test_a_call_that_its_service_cancels_is_an_error() -> None:
    async def cancel(piece: int, context: Any) -> None:
        if piece == 1:
            await context.abort(grpc.StatusCode.CANCELLED, "stopping")

    exported = Exported()
    async with serving(StreamingFibonacci(cancel)) as target, client_of(exported, target) as client:
        await client.stream(LARGE_N, DECIMAL)
        assert await ended_span(exported) == ("CANCELLED", True)


@pytest.mark.parametrize(("count", "ending"), [(3, ("OK", False)), (1_000, ("CANCELLED", False))])
async def test_a_range_is_given_up_where_not_all_of_it_was_read(count: int, ending: tuple[str, bool]) -> None:
    exported = Exported()
    async with serving_tiny(RangingFibonacci(digits=1 << 16)) as target, client_of(exported, target) as client:
        stream = await client.stream_range(0, count)
        pieces = stream.pieces()
        for _ in range(3):
            await anext(pieces)
        await pieces.aclose()
        stream.close()
        assert await ended_span(exported) == ending


async def test_a_range_that_is_whole_is_no_failure_where_its_status_stays_away() -> None:
    async def stop(piece: int, _context: Any) -> None:
        if piece == 3:
            await asyncio.Event().wait()

    exported, fibonacci = Exported(), RangingFibonacci(stop, left_out=-1)
    async with serving_tiny(fibonacci) as target, client_of(exported, target, deadline_seconds=1) as client:
        stream = await client.stream_range(0, 3)
        assert len([piece async for piece in stream.pieces()]) == 3
        stream.close()
        await fibonacci.cancelled.wait()
        assert await ended_span(exported) == ("CANCELLED", False)


async def test_a_watch_that_its_reader_leaves_is_no_error() -> None:
    exported = Exported()
    async with serving_tiny(WatchingStats()) as target, open_channel(target) as channel:
        stats = stats_client(Settings(), traced_channel(channel, exported.tracer))
        with Active(exported.tracer.begin("root")):
            async with stats.watch(interval_seconds=1):
                pass
        assert await ended_span(exported) == ("CANCELLED", False)
