"""The Fibonacci gRPC service: protobuf in, protobuf out."""

from typing import Any, assert_never

import grpc
import structlog

from fibonacci_service.calculator import Calculator, Computation
from fibonacci_service.errors import (
    BatchTooLarge,
    EncodingNeeded,
    EncodingUnknown,
    FibonacciError,
    IndexNegative,
    IndexTooLarge,
)
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
}


class FibonacciServicer(fib_pb2_grpc.FibonacciServicer):
    """Translates between protobuf and the calculator."""

    def __init__(self, *, calculator: Calculator, request_log: RequestLog) -> None:
        self._calculator = calculator
        self._request_log = request_log

    async def GetFib(self, request: fib_pb2.FibonacciRequest, context: Any) -> fib_pb2.FibonacciResponse:
        computation = self._calculator.compute(request.n, request.encoding)
        note(n=computation.n, cached=computation.cached, dear=computation.dear)
        return _response(computation, request.encoding)

    async def BatchGetFib(self, request: fib_pb2.BatchGetFibRequest, context: Any) -> fib_pb2.BatchGetFibResponse:
        asked = [(item.request.n, item.request.encoding) for item in request.items]
        outcomes = self._calculator.compute_each(asked)
        note(items=len(outcomes))
        for item, outcome in zip(request.items, outcomes, strict=True):
            self._log_item(item, outcome)
        encodings = (encoding for _, encoding in asked)
        return fib_pb2.BatchGetFibResponse(results=map(_result, outcomes, encodings))

    def _log_item(self, item: fib_pb2.BatchGetFibItem, outcome: Computation | FibonacciError) -> None:
        """One line an item, for each has a request id of its own; a refusal is its caller's fault and no failure."""
        facts: dict[str, object]
        match outcome:
            case Computation():
                seconds, dear, facts = outcome.duration_ns / 1e9, outcome.dear, {"cached": outcome.cached}
            case FibonacciError():
                seconds, dear, facts = 0.0, False, {"error": str(outcome)}
        if self._request_log.wants(failed=False, seconds=seconds, dear=dear):
            request_id = accept_request_id(item.request_id)
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
    value = computation.value if encoding else b""
    return fib_pb2.FibonacciResponse(x=computation.x, value=value)
