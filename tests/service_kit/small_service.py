"""A service with nothing behind it but what a test says, served as every service is."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1.health_pb2_grpc import HealthStub
from pydantic_settings import SettingsConfigDict

from service_kit.admission import Admission
from service_kit.grpc_bounds import MAX_CALLS
from service_kit.grpc_channel import open_channel
from service_kit.grpc_server import serving
from service_kit.interceptors import ServerInterceptor
from service_kit.logs import RequestLog
from service_kit.pb.fibonacci import fib_pb2, fib_pb2_grpc
from service_kit.rpc_status import StatusTable
from service_kit.settings import GrpcServiceSettings, LogRequests
from service_kit.tls import listening_tls

if TYPE_CHECKING:
    from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciAsyncStub

NAME = "fibonacci.Fibonacci"
MAX_REQUEST_BYTES = 1_000

Answer = Callable[[int], Awaitable[int]]


class Settings(GrpcServiceSettings):
    model_config = SettingsConfigDict(env_prefix="DEMO_")


class SmallServicer(fib_pb2_grpc.FibonacciServicer):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def GetFib(self, request: fib_pb2.FibonacciRequest, context: Any) -> fib_pb2.FibonacciResponse:
        return fib_pb2.FibonacciResponse(x=await self._answer(request.n))

    async def BatchGetFib(self, request: fib_pb2.BatchGetFibRequest, context: Any) -> fib_pb2.BatchGetFibResponse:
        return fib_pb2.BatchGetFibResponse()

    async def ExchangeFib(
        self, requests: AsyncIterator[fib_pb2.ExchangeFibRequest], context: Any
    ) -> AsyncGenerator[fib_pb2.ExchangeFibResponse, None]:
        """One answer for each message, with what is answered to each of its numbers."""
        async for request in requests:
            yield fib_pb2.ExchangeFibResponse(values=[b"%d" % await self._answer(n) for n in request.n])

    async def StreamFib(
        self, request: fib_pb2.StreamFibRequest, context: Any
    ) -> AsyncGenerator[fib_pb2.StreamFibResponse, None]:
        """Nothing at all."""
        return
        yield

    async def StreamRange(
        self, request: fib_pb2.StreamRangeRequest, context: Any
    ) -> AsyncGenerator[fib_pb2.StreamRangeResponse, None]:
        """One piece for each number, with what is answered to the number."""
        for n in range(request.start, request.start + request.count):
            yield fib_pb2.StreamRangeResponse(first=n, lines=b"%d" % await self._answer(n))

    async def GetResidue(self, request: fib_pb2.GetResidueRequest, context: Any) -> fib_pb2.GetResidueResponse:
        return fib_pb2.GetResidueResponse()

    async def DescribeFib(self, request: fib_pb2.DescribeFibRequest, context: Any) -> fib_pb2.DescribeFibResponse:
        return fib_pb2.DescribeFibResponse()

    async def GetRecorder(self, request: Empty, context: Any) -> fib_pb2.RecorderResponse:
        return fib_pb2.RecorderResponse()


@dataclass(frozen=True, slots=True)
class SmallClient:
    port: int
    channel: grpc.aio.Channel

    @property
    def stub(self) -> "FibonacciAsyncStub":
        return fib_pb2_grpc.FibonacciStub(self.channel)

    @property
    def health(self) -> Any:
        return HealthStub(self.channel)

    async def ask(self, n: int, **call: Any) -> int:
        return (await self.stub.GetFib(fib_pb2.FibonacciRequest(n=n), **call)).x

    def stream(self, start: int, count: int, **call: Any) -> Any:
        """The call that asks for so many answers."""
        return self.stub.StreamRange(fib_pb2.StreamRangeRequest(start=start, count=count), **call)

    def exchange(self, **call: Any) -> Any:
        """A call that takes one message after another."""
        return self.stub.ExchangeFib(**call)


async def exchanged(call: Any, *numbers: int) -> list[int]:
    """What is answered to one message on the call."""
    await call.write(fib_pb2.ExchangeFibRequest(n=numbers))
    return [int(value) for value in (await call.read()).values]


@asynccontextmanager
async def listening(
    answer: Answer,
    *,
    table: StatusTable | None = None,
    policy: LogRequests = "all",
    admission: Admission | None = None,
    interceptor: ServerInterceptor | None = None,
    max_calls: int = MAX_CALLS,
    outer_interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    **changes: Any,
) -> AsyncIterator[int]:
    """Serves, and yields the port. It waits for nothing on leaving, unless the changed settings say so."""
    admission = admission or Admission(max_calls=100, max_queued=100)
    settings = Settings(**{"listen_port": 0, "drain_delay_seconds": 0, **changes})
    async with (
        listening_tls(settings) as certificates,
        serving(
            settings,
            service_name=NAME,
            register=lambda server: fib_pb2_grpc.add_FibonacciServicer_to_server(SmallServicer(answer), server),
            interceptors=[interceptor or _interceptor(settings, table or {}, policy, admission)],
            outer_interceptors=outer_interceptors,
            max_request_bytes=MAX_REQUEST_BYTES,
            max_calls=max_calls,
            certificates=certificates,
        ) as port,
    ):
        yield port


def _interceptor(
    settings: Settings, table: StatusTable, policy: LogRequests, admission: Admission
) -> ServerInterceptor:
    return ServerInterceptor(
        status_table=table,
        request_log=RequestLog(policy=policy),
        admission=admission,
        admitted_names=settings.admitted_names,
    )


@asynccontextmanager
async def client_of(port: int) -> AsyncIterator[SmallClient]:
    async with open_channel(f"127.0.0.1:{port}") as channel:
        yield SmallClient(port, channel)


@asynccontextmanager
async def careless_client_of(port: int) -> AsyncIterator[SmallClient]:
    """A client that does not mind what the server says of its health."""
    async with open_channel(f"127.0.0.1:{port}", leave_out_not_serving=False) as channel:
        yield SmallClient(port, channel)


@asynccontextmanager
async def served(answer: Answer, **changes: Any) -> AsyncIterator[SmallClient]:
    async with listening(answer, **changes) as port, client_of(port) as client:
        yield client


async def double(n: int) -> int:
    return 2 * n
