"""The typed client of fibonacci_service: values and schemas out, protobuf inside."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import Message

from api_gateway.calls import answered, metadata, opened
from api_gateway.coalescer import Coalescer
from api_gateway.deadlines import current_deadline
from api_gateway.errors import UpstreamError
from api_gateway.number_stream import NumberStream
from api_gateway.range_stream import RangeStream
from api_gateway.retries import Caller
from api_gateway.schemas import FibonacciDescription, Prediction
from service_kit.pb.fibonacci.fib_pb2 import (
    DECIMAL,
    BatchGetFibItem,
    BatchGetFibRequest,
    BatchGetFibResult,
    DescribeFibRequest,
    Encoding,
    FibonacciRequest,
    GetResidueRequest,
    StreamFibRequest,
    StreamRangeRequest,
)

if TYPE_CHECKING:
    from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciAsyncStub

T = TypeVar("T")

#: The largest index whose request may share a batch; a dearer one goes alone, so that nothing waits behind it.
COALESCED_MAX_N = 1_000


class FibonacciClient:
    def __init__(
        self, *, stub: "FibonacciAsyncStub", caller: Caller, coalescer: Coalescer, stall_seconds: float
    ) -> None:
        self._stub = stub
        self.caller = caller
        self.coalescer = coalescer
        self._stall_seconds = stall_seconds

    async def get(self, n: int, encoding: Encoding.ValueType = DECIMAL) -> bytes:
        """F(n), encoded. Raises UpstreamError, ServiceUnavailable or DeadlineExceeded."""
        # A batch has one deadline, and its requests stand in it in the order of theirs.
        coalesced = n <= COALESCED_MAX_N and current_deadline.get() is None
        value = await (self.coalescer.ask(n, encoding) if coalesced else self._get_alone(n, encoding))
        if not (value.isdigit() if encoding == DECIMAL else value):
            raise self._no_number(f"F({n})")
        return value

    async def stream(self, n: int, encoding: Encoding.ValueType, *, offset: int = 0, length: int = 0) -> NumberStream:
        """F(n), encoded, in pieces: `length` bytes from `offset`, or all that follow where it is 0.

        The deadline and the retries end with the first piece. Raises what `get` raises. The caller closes the stream.
        """
        request = StreamFibRequest(n=n, encoding=encoding, offset=offset, length=length)
        return await self.caller.call(lambda _deadline: self._open_stream(request))

    async def get_each(self, indices: Sequence[int], *, field: str) -> list[str]:
        """The digits of several numbers, in order: all of them, or the first error. Raises what `get` raises.

        An error names the field that the indices came in.
        """
        items = [BatchGetFibItem(request=FibonacciRequest(n=n, encoding=DECIMAL)) for n in indices]
        request = BatchGetFibRequest(items=items)

        async def attempt(deadline: float) -> list[str]:
            try:
                response = await answered(self._stub.BatchGetFib, request, deadline)
            except UpstreamError as error:
                raise error.at(field) from None
            return [self._digits(result, f"{field}[{position}]") for position, result in enumerate(response.results)]

        return await self.caller.call(attempt)

    async def residue(self, n: str, modulus: str) -> str:
        """F(n) modulo a number; all in decimal digits. Raises what `get` raises."""
        response = await self._call(self._stub.GetResidue, GetResidueRequest(n=n, modulus=modulus))
        if not response.residue.encode().isdigit():
            raise self._no_number(f"F({n}) modulo {modulus}")
        return response.residue

    async def describe(self, n: str) -> FibonacciDescription:
        """What is known of F(n) without computing it. Raises what `get` raises."""
        response = await self._call(self._stub.DescribeFib, DescribeFibRequest(n=n))
        predicted = Prediction(seconds=response.predicted_seconds, memory_bytes=response.predicted_bytes)
        return FibonacciDescription(
            n=n,
            digit_count=response.digit_count,
            bit_count=response.bit_count,
            leading_digits=response.leading_digits,
            trailing_digits=response.trailing_digits,
            predicted=predicted,
            url=f"/fib?n={n}" if response.way else None,
            max_n=response.max_n,
        )

    async def stream_range(self, start: int, count: int) -> RangeStream:
        """F(start) and the numbers after it. The deadline and the retries end with the first piece.

        Raises what `get` raises. The caller closes the stream.
        """
        request = StreamRangeRequest(start=start, count=count)
        return await self.caller.call(lambda _deadline: self._open_range(request))

    async def _open_range(self, request: StreamRangeRequest) -> RangeStream:
        call = self._stub.StreamRange(request, wait_for_ready=True, metadata=metadata())
        stream = RangeStream(call, request, service=self.caller.service, stall_seconds=self._stall_seconds)
        return await opened(stream)

    async def _call(self, method: Callable[..., Awaitable[T]], request: Message) -> T:
        return await self.caller.call(lambda deadline: answered(method, request, deadline))

    async def _open_stream(self, request: StreamFibRequest) -> NumberStream:
        # gRPC would apply a timeout to the whole call and cut off a client that reads slowly.
        call = self._stub.StreamFib(request, wait_for_ready=True, metadata=metadata())
        stream = NumberStream(call, request, service=self.caller.service, stall_seconds=self._stall_seconds)
        return await opened(stream)

    async def _get_alone(self, n: int, encoding: Encoding.ValueType) -> bytes:
        response = await self._call(self._stub.GetFib, FibonacciRequest(n=n, encoding=encoding))
        return response.value

    def connected(self) -> bool:
        return self.caller.connected()

    def _digits(self, result: BatchGetFibResult, place: str) -> str:
        if result.HasField("error"):
            raise UpstreamError.from_status(result.error).at(place)
        value = result.response.value
        if not value.isdigit():
            raise self._no_number(place)
        return value.decode("ascii")

    def _no_number(self, asked: str) -> ValueError:
        return ValueError(f"{self.caller.service} answered {asked} with what is no number")
