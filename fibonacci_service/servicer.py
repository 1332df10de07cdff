"""The Fibonacci gRPC service: protobuf in, protobuf out."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any, assert_never

import grpc
import structlog
from google.protobuf.empty_pb2 import Empty

from fibonacci_service.appraisals import Appraiser
from fibonacci_service.calculator import Calculator
from fibonacci_service.errors import (
    BatchTooLarge,
    CountTooSmall,
    EncodingNeeded,
    EncodingUnknown,
    FibonacciError,
    IndexNegative,
    IndexTooLarge,
    NumeralMalformed,
    NumeralTooLong,
    NumeralTooSmall,
    RangeTooHigh,
    SliceOutOfRange,
    WorkerLost,
    WorkersBusy,
)
from fibonacci_service.observations import Computation
from fibonacci_service.ranges import RangeReader
from fibonacci_service.stats_recorder import StatsRecorder
from service_kit.interceptors import note
from service_kit.logs import RequestLog
from service_kit.pb.fibonacci import fib_pb2, fib_pb2_grpc
from service_kit.request_id import accept_request_id
from service_kit.rpc_status import StatusTable, status_of

log = structlog.get_logger()

#: The full name, as health checks and reflection call it.
SERVICE_NAME = fib_pb2.DESCRIPTOR.services_by_name["Fibonacci"].full_name

STATUS_TABLE: StatusTable = {
    IndexNegative: grpc.StatusCode.INVALID_ARGUMENT,
    IndexTooLarge: grpc.StatusCode.INVALID_ARGUMENT,
    EncodingUnknown: grpc.StatusCode.INVALID_ARGUMENT,
    BatchTooLarge: grpc.StatusCode.INVALID_ARGUMENT,
    EncodingNeeded: grpc.StatusCode.OUT_OF_RANGE,
    NumeralMalformed: grpc.StatusCode.INVALID_ARGUMENT,
    NumeralTooLong: grpc.StatusCode.INVALID_ARGUMENT,
    NumeralTooSmall: grpc.StatusCode.INVALID_ARGUMENT,
    CountTooSmall: grpc.StatusCode.INVALID_ARGUMENT,
    RangeTooHigh: grpc.StatusCode.INVALID_ARGUMENT,
    SliceOutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    WorkersBusy: grpc.StatusCode.RESOURCE_EXHAUSTED,
    WorkerLost: grpc.StatusCode.UNAVAILABLE,
}

#: The data of one message of StreamFib.
STREAM_PIECE_BYTES = 256 << 10


class FibonacciServicer(fib_pb2_grpc.FibonacciServicer):
    """Translates between protobuf and the calculator."""

    def __init__(
        self,
        *,
        calculator: Calculator,
        ranges: RangeReader,
        appraiser: Appraiser,
        recorder: StatsRecorder,
        request_log: RequestLog,
    ) -> None:
        self._calculator = calculator
        self._ranges = ranges
        self._appraiser = appraiser
        self._recorder = recorder
        self._request_log = request_log

    async def GetFib(self, request: fib_pb2.FibonacciRequest, context: Any) -> fib_pb2.FibonacciResponse:
        computation = await self._calculator.compute(request.n, request.encoding)
        note(n=computation.n, cached=computation.cached, dear=computation.dear)
        return _response(computation, request.encoding)

    async def BatchGetFib(self, request: fib_pb2.BatchGetFibRequest, context: Any) -> fib_pb2.BatchGetFibResponse:
        asked = [(item.request.n, item.request.encoding) for item in request.items]
        outcomes = await self._calculator.compute_each(asked)
        note(items=len(outcomes))
        for item, outcome in zip(request.items, outcomes, strict=True):
            self._log_item(item, outcome)
        encodings = (encoding for _, encoding in asked)
        return fib_pb2.BatchGetFibResponse(results=map(_result, outcomes, encodings))

    async def StreamFib(
        self, request: fib_pb2.StreamFibRequest, context: Any
    ) -> AsyncGenerator[fib_pb2.StreamFibResponse, None]:
        computation = await self._calculator.compute_encoded(request.n, request.encoding)
        note(n=computation.n, cached=computation.cached, dear=computation.dear)
        encoded = computation.encoded
        first, last = encoded.slice(request.offset, request.length)
        response = fib_pb2.StreamFibResponse(total_bytes=len(encoded.data), sha256=encoded.sha256)
        for start in range(first, last, STREAM_PIECE_BYTES):
            response.data = encoded.data[start : min(start + STREAM_PIECE_BYTES, last)]
            yield response
            response = fib_pb2.StreamFibResponse()

    async def StreamRange(
        self, request: fib_pb2.StreamRangeRequest, context: Any
    ) -> AsyncGenerator[fib_pb2.StreamRangeResponse, None]:
        note(start=request.start, count=request.count)
        self._ranges.check(request.start, request.count)
        async with contextlib.aclosing(self._ranges.read(request.start, request.count)) as pieces:
            async for first, lines in pieces:
                yield fib_pb2.StreamRangeResponse(first=first, lines=lines)

    async def GetResidue(self, request: fib_pb2.GetResidueRequest, context: Any) -> fib_pb2.GetResidueResponse:
        return fib_pb2.GetResidueResponse(residue=await self._appraiser.residue(request.n, request.modulus))

    async def DescribeFib(self, request: fib_pb2.DescribeFibRequest, context: Any) -> fib_pb2.DescribeFibResponse:
        appraisal = await self._appraiser.describe(request.n)
        description = appraisal.description
        return fib_pb2.DescribeFibResponse(
            digit_count=str(description.digit_count),
            bit_count=str(description.bit_count),
            leading_digits=description.leading_digits,
            trailing_digits=description.trailing_digits,
            predicted_seconds=appraisal.predicted_seconds,
            predicted_bytes=appraisal.predicted_bytes,
            way=appraisal.way,
            max_n=appraisal.max_index,
        )

    async def GetRecorder(self, request: Empty, context: Any) -> fib_pb2.RecorderResponse:
        recorder = self._recorder
        return fib_pb2.RecorderResponse(
            source=recorder.source,
            served=recorder.served,
            recorded=recorder.recorded,
            pending=recorder.pending,
            dropped=recorder.dropped,
        )

    def _log_item(self, item: fib_pb2.BatchGetFibItem, outcome: Computation | FibonacciError) -> None:
        """One line an item, for each has a request id of its own; a refusal is its caller's fault and no failure."""
        facts: dict[str, object]
        match outcome:
            case Computation():
                seconds, dear, facts = outcome.duration_ns / 1e9, outcome.dear, {"cached": outcome.cached}
            case FibonacciError():
                seconds, dear, facts = 0.0, False, {"error": str(outcome)}
        request_id = accept_request_id(item.request_id)
        if self._request_log.wants(request_id=request_id, failed=False, seconds=seconds, dear=dear):
            duration_ms = round(seconds * 1000, 3)
            log.info("item.served", request_id=request_id, n=item.request.n, duration_ms=duration_ms, **facts)


def _result(outcome: Computation | FibonacciError, encoding: int) -> fib_pb2.BatchGetFibResult:
    match outcome:
        case Computation():
            return fib_pb2.BatchGetFibResult(response=_response(outcome, encoding))
        case FibonacciError():
            return fib_pb2.BatchGetFibResult(error=status_of(outcome, STATUS_TABLE))
        case _:
            assert_never(outcome)


def _response(computation: Computation, encoding: int) -> fib_pb2.FibonacciResponse:
    value = computation.encoded.data if encoding else b""
    return fib_pb2.FibonacciResponse(x=computation.x, value=value)
