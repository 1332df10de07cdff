"""The gateway as its tests run it, and tiny gRPC services for the faults that the real ones do not have."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import httpx
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from api_gateway.app import running
from api_gateway.settings import Settings
from fibonacci_service.sequence import SMALL, fibonacci
from service_kit.pb.fibonacci import fib_pb2, fib_pb2_grpc
from service_kit.pb.stats import stats_pb2, stats_pb2_grpc
from service_kit.request_id import METADATA_KEY
from tests.grpc_options import SERVER_OPTIONS

#: What a tiny service does before it answers well; it may fail, wait or raise.
Before = Callable[[Any], Awaitable[None]]


async def _nothing(_context: Any) -> None:
    """Answers well at once."""


def failing(code: grpc.StatusCode, text: str = "told to fail", *, times: int = 1_000_000) -> Before:
    """Fails the first calls with a status."""
    left = times

    async def fail(context: Any) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            await context.abort(code, text)

    return fail


async def hang(_context: Any) -> None:
    """Never answers."""
    await asyncio.Event().wait()


class Gate:
    """Holds calls back until it is opened, and says when so many of them wait before it."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._arrived = asyncio.Semaphore(0)

    async def __call__(self, _context: Any) -> None:
        self._arrived.release()
        await self._opened.wait()

    async def holds(self, calls: int) -> None:
        """Waits until so many more calls have arrived."""
        for _ in range(calls):
            await self._arrived.acquire()

    def open(self) -> None:
        self._opened.set()


class TinyFibonacci(fib_pb2_grpc.FibonacciServicer):
    """Keeps what reaches it. `values` and `errors` replace the good answer for their n."""

    def __init__(
        self,
        before: Before = _nothing,
        *,
        values: Mapping[int, bytes] | None = None,
        errors: Mapping[int, Status] | None = None,
    ) -> None:
        self.before = before
        self.values = values or {}
        self.errors = errors or {}
        self.alone: list[int] = []
        self.batches: list[list[int]] = []
        self.request_ids: list[str] = []
        self.item_ids: list[str] = []
        self.batch_names: list[tuple[str, int]] = []

    @property
    def calls(self) -> int:
        return len(self.alone) + len(self.batches)

    async def GetFib(self, request: fib_pb2.FibonacciRequest, context: Any) -> fib_pb2.FibonacciResponse:
        self.alone.append(request.n)
        self.request_ids.append(_request_id(context))
        await self.before(context)
        return self._response(request.n)

    async def BatchGetFib(self, request: fib_pb2.BatchGetFibRequest, context: Any) -> fib_pb2.BatchGetFibResponse:
        self.batches.append([item.request.n for item in request.items])
        self.request_ids.append(_request_id(context))
        self.item_ids.extend(item.request_id for item in request.items)
        await self.before(context)
        return fib_pb2.BatchGetFibResponse(results=[self._result(item.request.n) for item in request.items])

    async def ExchangeFib(
        self, requests: AsyncIterator[fib_pb2.ExchangeFibRequest], context: Any
    ) -> AsyncIterator[fib_pb2.ExchangeFibResponse]:
        async for batch in requests:
            self.batches.append(list(batch.n))
            self.request_ids.append(_request_id(context))
            self.item_ids.extend(batch.request_ids)
            self.batch_names.append((batch.source, batch.sequence))
            await self.before(context)
            yield self.exchanged(batch)

    def exchanged(self, batch: fib_pb2.ExchangeFibRequest) -> fib_pb2.ExchangeFibResponse:
        return fib_pb2.ExchangeFibResponse(
            sequence=batch.sequence,
            values=[b"" if n in self.errors else self._response(n).value for n in batch.n],
            errors={position: self.errors[n] for position, n in enumerate(batch.n) if n in self.errors},
        )

    async def StreamFib(
        self, request: fib_pb2.StreamFibRequest, context: Any
    ) -> AsyncIterator[fib_pb2.StreamFibResponse]:
        raise NotImplementedError
        yield

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

    def _result(self, n: int) -> fib_pb2.BatchGetFibResult:
        if n in self.errors:
            return fib_pb2.BatchGetFibResult(error=self.errors[n])
        return fib_pb2.BatchGetFibResult(response=self._response(n))

    def _response(self, n: int) -> fib_pb2.FibonacciResponse:
        value = self.values.get(n, bytes(fibonacci(n).digits(10), "ascii"))
        return fib_pb2.FibonacciResponse(x=SMALL[n] if n < len(SMALL) else 0, value=value)


class TinyStats(stats_pb2_grpc.StatsServicer):
    """Answers what it is given, by default an empty account, and keeps what it was asked."""

    def __init__(self, before: Before = _nothing) -> None:
        self.before = before
        self.page = stats_pb2.ListStatsResponse()
        self.number = stats_pb2.GetNumberStatsResponse()
        self.minutes = stats_pb2.ListMinutesResponse()
        self.asked: list[Message] = []
        self.request_ids: list[str] = []

    @property
    def calls(self) -> int:
        return len(self.asked)

    async def ListStats(self, request: stats_pb2.ListStatsRequest, context: Any) -> stats_pb2.ListStatsResponse:
        await self.arrived(request, context)
        return self.page

    async def GetNumberStats(
        self, request: stats_pb2.GetNumberStatsRequest, context: Any
    ) -> stats_pb2.GetNumberStatsResponse:
        await self.arrived(request, context)
        return self.number

    async def ListMinutes(self, request: stats_pb2.ListMinutesRequest, context: Any) -> stats_pb2.ListMinutesResponse:
        await self.arrived(request, context)
        return self.minutes

    async def WatchStats(
        self, request: stats_pb2.WatchStatsRequest, context: Any
    ) -> AsyncIterator[stats_pb2.WatchStatsResponse]:
        await self.arrived(request, context)
        raise NotImplementedError
        yield

    async def RecordNo(self, request: stats_pb2.RecordRequest, context: Any) -> stats_pb2.RecordResponse:
        raise NotImplementedError

    async def GetStats(self, request: Empty, context: Any) -> stats_pb2.StatsResponse:
        raise NotImplementedError

    async def arrived(self, request: Message, context: Any) -> None:
        self.asked.append(request)
        self.request_ids.append(_request_id(context))
        await self.before(context)


@asynccontextmanager
async def serving(servicer: TinyFibonacci | TinyStats, *, target: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Serves a tiny service over real gRPC, and yields its target."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    if isinstance(servicer, TinyFibonacci):
        fib_pb2_grpc.add_FibonacciServicer_to_server(servicer, server)
    else:
        stats_pb2_grpc.add_StatsServicer_to_server(servicer, server)
    port = server.add_insecure_port(target)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@asynccontextmanager
async def gateway(*, fibonacci_target: str, stats_target: str, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The real gateway, and a client of it."""
    chosen = {"listen_port": 0, "drain_delay_seconds": 0, "drain_timeout_seconds": 1} | settings
    async with (
        running(Settings(fibonacci_target=fibonacci_target, stats_target=stats_target, **chosen)) as port,
        connect(f"http://127.0.0.1:{port}") as client,
    ):
        yield client


def connect(url: str) -> httpx.AsyncClient:
    """A client with as many connections as it likes; over plain HTTP it needs to load no certificates."""
    no_certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    limits = httpx.Limits(max_connections=None)
    return httpx.AsyncClient(base_url=url, verify=no_certificates, trust_env=False, timeout=30, limits=limits)


@asynccontextmanager
async def gateway_to(service: TinyFibonacci | TinyStats, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The real gateway before one tiny service; the other one is there and answers well."""
    fibonacci = service if isinstance(service, TinyFibonacci) else TinyFibonacci()
    stats = service if isinstance(service, TinyStats) else TinyStats()
    async with (
        serving(fibonacci) as fibonacci_target,
        serving(stats) as stats_target,
        gateway(fibonacci_target=fibonacci_target, stats_target=stats_target, **settings) as client,
    ):
        yield client


async def until_ready(client: httpx.AsyncClient) -> None:
    """Asks until the gateway is connected to both services."""
    async with asyncio.timeout(20):
        while (await client.get("/readyz")).json().get("stats_service") is not True:
            pass


def _request_id(context: Any) -> str:
    return str(dict(context.invocation_metadata() or ()).get(METADATA_KEY, ""))
