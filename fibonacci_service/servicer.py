"""The Fibonacci gRPC service: protobuf in, protobuf out."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, assert_never

from google.protobuf.empty_pb2 import Empty

from fibonacci_service.appraisals import Appraiser
from fibonacci_service.calculator import Calculator
from fibonacci_service.contract import STATUS_TABLE
from fibonacci_service.errors import FibonacciError
from fibonacci_service.exchange import Exchange
from fibonacci_service.item_log import ItemLog
from fibonacci_service.observations import Computation
from fibonacci_service.ranges import RangeReader
from fibonacci_service.stats_recorder import StatsRecorder
from service_kit.interceptors import note
from service_kit.pb.fibonacci import fib_pb2, fib_pb2_grpc
from service_kit.rpc_status import status_of

#: The data of one message of StreamFib.
STREAM_PIECE_BYTES = 256 << 10


class FibonacciServicer(fib_pb2_grpc.FibonacciServicer):
    """Translates between protobuf and the calculator."""

    def __init__(
        self,
        *,
        calculator: Calculator,
        exchange: Exchange,
        ranges: RangeReader,
        appraiser: Appraiser,
        recorder: StatsRecorder,
        item_log: ItemLog,
    ) -> None:
        self._calculator = calculator
        self._exchange = exchange
        self._ranges = ranges
        self._appraiser = appraiser
        self._recorder = recorder
        self._item_log = item_log

    async def GetFib(self, request: fib_pb2.FibonacciRequest, context: Any) -> fib_pb2.FibonacciResponse:
        note(n=request.n)  # before anything can fail, as below: the line of a failure has to tell of what
        computation = await self._calculator.compute(request.n, request.encoding)
        note(cached=computation.cached, dear=computation.dear)
        return _response(computation, request.encoding)

    async def BatchGetFib(self, request: fib_pb2.BatchGetFibRequest, context: Any) -> fib_pb2.BatchGetFibResponse:
        asked = [(item.request.n, item.request.encoding) for item in request.items]
        note(items=len(asked))
        outcomes = await self._calculator.compute_each(asked)
        self._item_log.log((n for n, _ in asked), (item.request_id for item in request.items), outcomes)
        distinct = dict(zip(asked, outcomes, strict=True))
        results = {pair: _result(outcome, encoding=pair[1]) for pair, outcome in distinct.items()}
        return fib_pb2.BatchGetFibResponse(results=[results[pair] for pair in asked])

    async def ExchangeFib(
        self, requests: AsyncIterator[fib_pb2.ExchangeFibRequest], context: Any
    ) -> AsyncGenerator[fib_pb2.ExchangeFibResponse, None]:
        async for batch in requests:
            yield await self._exchange.answer(batch)

    async def StreamFib(
        self, request: fib_pb2.StreamFibRequest, context: Any
    ) -> AsyncGenerator[fib_pb2.StreamFibResponse, None]:
        note(n=request.n)
        computation = await self._calculator.compute_encoded(request.n, request.encoding)
        note(cached=computation.cached, dear=computation.dear)
        encoded = computation.encoded
        first, last = encoded.slice_bounds(request.offset, request.length)
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
        note(n_digits=len(request.n), modulus_digits=len(request.modulus))  # themselves they may be too long for a line
        return fib_pb2.GetResidueResponse(residue=await self._appraiser.residue(request.n, request.modulus))

    async def DescribeFib(self, request: fib_pb2.DescribeFibRequest, context: Any) -> fib_pb2.DescribeFibResponse:
        note(n_digits=len(request.n))
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


def _result(outcome: Computation | FibonacciError, *, encoding: int) -> fib_pb2.BatchGetFibResult:
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
