"""A tiny fibonacci_service that sends numbers in pieces, and the faults and waits that the real one does not have."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import httpx
from google.protobuf.empty_pb2 import Empty

from api_gateway.app import running
from api_gateway.settings import Settings
from service_kit.pb.fibonacci import fib_pb2, fib_pb2_grpc
from tests.grpc_options import SERVER_OPTIONS

#: The first indices that leave as a stream, in digits and in bytes.
LARGE_N = 5_020_000
LARGE_BINARY_N = 12_100_000
PIECE_BYTES = 64 << 10
MAX_N = 20_000_000


def digits_of(n: int) -> bytes:
    """Exact below 1,000; of longer numbers the gateway passes on whatever it is given, of about the right length."""
    if n < 1_000:
        number, following = 0, 1
        for _ in range(n):
            number, following = following, number + following
        return str(number).encode()
    seed = hashlib.sha256(str(n).encode()).digest() * 50
    line = bytes(48 + byte % 10 for byte in seed)
    length = round(n * 0.20898764)
    return (line * (length // len(line) + 1))[:length]


def bytes_of(n: int) -> bytes:
    line = hashlib.sha256(str(n).encode()).digest()
    length = round(n * 0.08678024) + 1
    return (line * (length // len(line) + 1))[:length]


#: What happens before a piece, by its place in the stream from 0: nothing, a wait or a failure.
Before = Callable[[int, Any], Awaitable[None]]


async def nothing(_piece: int, _context: Any) -> None:
    """Sends the piece at once."""


def failing_at(failing: int, code: grpc.StatusCode, *, times: int = 1_000_000) -> Before:
    left = times

    async def fail(piece: int, context: Any) -> None:
        nonlocal left
        if piece == failing and left > 0:
            left -= 1
            await context.abort(code, "told to fail")

    return fail


def stopping_at(stopping: int) -> Before:
    async def stop(piece: int, _context: Any) -> None:
        if piece == stopping:
            await asyncio.Event().wait()

    return stop


class StreamingFibonacci(fib_pb2_grpc.FibonacciServicer):
    """Keeps what was asked: `calls` by method and encoding, `slices` by offset and length."""

    def __init__(self, before: Before = nothing, *, cut_bytes: int = 0, empty: bool = False) -> None:
        self.before = before
        self.cut_bytes = cut_bytes
        self.empty = empty
        self.cancelled = asyncio.Event()
        self.forget()

    def forget(self) -> None:
        """Starts the record anew."""
        self.calls: list[tuple[str, int, int]] = []
        self.slices: list[tuple[int, int]] = []
        self.sent_pieces = 0
        self.time_limits: list[float | None] = []

    async def GetFib(self, request: fib_pb2.FibonacciRequest, context: Any) -> fib_pb2.FibonacciResponse:
        self.calls.append(("GetFib", request.n, request.encoding))
        return fib_pb2.FibonacciResponse(value=self._encoded(request))

    async def ExchangeFib(
        self, requests: AsyncIterator[fib_pb2.ExchangeFibRequest], context: Any
    ) -> AsyncIterator[fib_pb2.ExchangeFibResponse]:
        async for batch in requests:
            asked = [
                fib_pb2.FibonacciRequest(n=n, encoding=encoding)
                for n, encoding in zip(batch.n, batch.encodings, strict=True)
            ]
            self.calls += [("ExchangeFib", one.n, one.encoding) for one in asked]
            yield fib_pb2.ExchangeFibResponse(sequence=batch.sequence, values=map(self._encoded, asked))

    async def BatchGetFib(self, request: fib_pb2.BatchGetFibRequest, context: Any) -> fib_pb2.BatchGetFibResponse:
        raise NotImplementedError

    async def StreamFib(
        self, request: fib_pb2.StreamFibRequest, context: Any
    ) -> AsyncIterator[fib_pb2.StreamFibResponse]:
        self.calls.append(("StreamFib", request.n, request.encoding))
        self.slices.append((request.offset, request.length))
        self.time_limits.append(context.time_remaining())
        if request.n > MAX_N:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"n must be at most {MAX_N}")
        value = self._encoded(request)
        if request.offset >= len(value) > 0:
            await context.abort(grpc.StatusCode.OUT_OF_RANGE, "behind the end")
        stop = min(request.offset + (request.length or len(value)), len(value)) - self.cut_bytes
        response = fib_pb2.StreamFibResponse(total_bytes=len(value), sha256=hashlib.sha256(value).digest())
        try:
            for place, start in enumerate(range(request.offset, stop, PIECE_BYTES)):
                await self.before(place, context)
                response.data = value[start : min(start + PIECE_BYTES, stop)]
                self.sent_pieces += 1
                yield response
                response = fib_pb2.StreamFibResponse()
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.set()
            raise

    def _encoded(self, request: fib_pb2.FibonacciRequest | fib_pb2.StreamFibRequest) -> bytes:
        if self.empty:
            return b""
        return digits_of(request.n) if request.encoding == fib_pb2.DECIMAL else bytes_of(request.n)

    async def StreamRange(
        self, request: fib_pb2.StreamRangeRequest, context: Any
    ) -> AsyncIterator[fib_pb2.StreamRangeResponse]:
        raise NotImplementedError
        yield

    async def GetResidue(self, request: fib_pb2.GetResidueRequest, context: Any) -> fib_pb2.GetResidueResponse:
        raise NotImplementedError

    async def DescribeFib(self, request: fib_pb2.DescribeFibRequest, context: Any) -> fib_pb2.DescribeFibResponse:
        raise NotImplementedError

    async def GetRecorder(self, request: Empty, context: Any) -> fib_pb2.RecorderResponse:
        raise NotImplementedError


@asynccontextmanager
async def serving(servicer: StreamingFibonacci) -> AsyncIterator[str]:
    """Serves the tiny service, and yields its target."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    fib_pb2_grpc.add_FibonacciServicer_to_server(servicer, server)
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield target
    finally:
        await server.stop(None)


@asynccontextmanager
async def gateway_before(servicer: StreamingFibonacci, **settings: Any) -> AsyncIterator[int]:
    """The real gateway before the tiny service; yields its port."""
    chosen = {"listen_port": 0, "drain_delay_seconds": 0, "drain_timeout_seconds": 1} | settings
    async with serving(servicer) as target, running(Settings(fibonacci_target=target, **chosen)) as port:
        yield port


def connect(port: int, **headers: str) -> httpx.AsyncClient:
    """A client that asks for no compression and loads no certificates."""
    client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=False, trust_env=False, timeout=30)  # noqa: S501
    del client.headers["accept-encoding"]
    client.headers.update(headers)
    return client


@asynccontextmanager
async def client_before(servicer: StreamingFibonacci, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway_before(servicer, **settings) as port, connect(port) as client:
        yield client


async def until_connected(client: httpx.AsyncClient) -> None:
    """Asks until the gateway is connected to fibonacci_service, whatever it is to stats_service."""
    async with asyncio.timeout(20):
        while (await client.get("/readyz")).status_code != 200:
            pass
