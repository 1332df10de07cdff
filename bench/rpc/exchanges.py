"""What gRPC clients ask fibonacci_service, and what it must answer. Pure."""

from collections import Counter
from dataclasses import dataclass
from itertools import cycle, islice

from google.protobuf.message import Message

from bench.answers import EACH_INDEX, MEASURED_INDEX, fibonacci
from service_kit.pb.fibonacci.fib_pb2 import (
    DECIMAL,
    ENCODING_UNSPECIFIED,
    BatchGetFibItem,
    BatchGetFibRequest,
    BatchGetFibResponse,
    BatchGetFibResult,
    FibonacciRequest,
    FibonacciResponse,
)

BATCH_ITEMS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One call and its right answer; `indices` are what it adds to the account."""

    method: str
    request: Message
    response: Message
    indices: Counter[int]


def _unary() -> Exchange:
    return Exchange(
        method="/fibonacci.Fibonacci/GetFib",
        request=FibonacciRequest(n=MEASURED_INDEX),
        response=FibonacciResponse(x=fibonacci(MEASURED_INDEX)),
        indices=Counter([MEASURED_INDEX]),
    )


def _batch(*, decimal: bool) -> Exchange:
    indices = list(islice(cycle(EACH_INDEX), BATCH_ITEMS))
    encoding = DECIMAL if decimal else ENCODING_UNSPECIFIED
    requests = [FibonacciRequest(n=n, encoding=encoding) for n in indices]
    responses = [_response(fibonacci(n), decimal=decimal) for n in indices]
    return Exchange(
        method="/fibonacci.Fibonacci/BatchGetFib",
        request=BatchGetFibRequest(items=[BatchGetFibItem(request=request) for request in requests]),
        response=BatchGetFibResponse(results=[BatchGetFibResult(response=response) for response in responses]),
        indices=Counter(indices),
    )


def _response(number: int, *, decimal: bool) -> FibonacciResponse:
    return FibonacciResponse(x=number, value=str(number).encode() if decimal else b"")


UNARY = "unary"
BATCH = "batch"
DECIMAL_BATCH = "batch in decimal"
EXCHANGES = {UNARY: _unary(), BATCH: _batch(decimal=False), DECIMAL_BATCH: _batch(decimal=True)}
