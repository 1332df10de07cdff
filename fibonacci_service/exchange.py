"""Answers the batches of ExchangeFib, each once however often it is sent."""

from collections.abc import Sequence

import grpc
from cachetools import LRUCache
from google.rpc.status_pb2 import Status

from fibonacci_service.calculator import Calculator
from fibonacci_service.contract import SERVICE_NAME, STATUS_TABLE
from fibonacci_service.errors import ColumnsDiffer, FibonacciError
from fibonacci_service.item_log import ItemLog
from fibonacci_service.observations import Computation
from service_kit.admission import Admission, Overloaded
from service_kit.interceptors import OWN_ERRORS
from service_kit.pb.fibonacci.fib_pb2 import ExchangeFibRequest, ExchangeFibResponse
from service_kit.rpc_status import status_of
from service_kit.spans import attribute
from service_kit.trace_context import parse_context
from service_kit.trace_interceptors import describe_rpc
from service_kit.traces import Active, Tracer

METHOD = f"{SERVICE_NAME}/ExchangeFib"
#: The sources whose last answer is kept. A gateway has two, and the answer to its largest batch takes 54 kB.
MAX_SOURCES = 256


class Exchange:
    """Keeps the last answer to each source, which sends its next batch once it has the answer to the one before."""

    def __init__(
        self,
        *,
        calculator: Calculator,
        admission: Admission,
        item_log: ItemLog,
        tracer: Tracer | None = None,
    ) -> None:
        self._calculator = calculator
        self._admission = admission
        self._item_log = item_log
        self._tracer = tracer
        self._last: LRUCache[str, ExchangeFibResponse] = LRUCache(MAX_SOURCES)

    async def answer(self, batch: ExchangeFibRequest) -> ExchangeFibResponse:
        """An item that is refused or fails has its error in the response, and each has where the service is overloaded.

        Raises ColumnsDiffer or BatchTooLarge.
        """
        if self._tracer is None:
            return await self._answered(batch)
        parent = parse_context(batch.traceparent, batch.tracestate)
        with Active(self._tracer.begin(METHOD, "server", parent=parent)) as span:
            span.attributes[attribute("items")] = len(batch.n)
            response = await self._answered(batch)
            describe_rpc(span, METHOD, grpc.StatusCode.OK)
            return response

    async def _answered(self, batch: ExchangeFibRequest) -> ExchangeFibResponse:
        last = self._last.get(batch.source)
        if last is not None and last.sequence == batch.sequence:
            return last
        try:
            with self._admission.place_now() or await self._admission.place_in_turn():
                response = await self._computed(batch)
        except Overloaded as error:
            return _refused(batch, status_of(error, OWN_ERRORS))  # the call stays open for the batches to come
        if batch.source:
            self._last[batch.source] = response
        return response

    async def _computed(self, batch: ExchangeFibRequest) -> ExchangeFibResponse:
        indices, encodings = list(batch.n), list(batch.encodings)
        if len(encodings) != len(indices):
            raise ColumnsDiffer("encodings", len(encodings), len(indices))
        request_ids = batch.request_ids or [""] * len(indices)
        if len(request_ids) != len(indices):
            raise ColumnsDiffer("request_ids", len(request_ids), len(indices))
        outcomes = await self._calculator.compute_each(list(zip(indices, encodings, strict=True)))
        self._item_log.log(indices, request_ids, outcomes)
        return self._response(batch.sequence, outcomes)

    def _response(self, sequence: int, outcomes: Sequence[Computation | FibonacciError]) -> ExchangeFibResponse:
        values = [outcome.encoded.data if isinstance(outcome, Computation) else b"" for outcome in outcomes]
        response = ExchangeFibResponse(sequence=sequence, values=values)
        if not all(values):
            for position, outcome in enumerate(outcomes):
                if isinstance(outcome, FibonacciError):
                    response.errors[position].CopyFrom(status_of(outcome, STATUS_TABLE))
        return response


def _refused(batch: ExchangeFibRequest, status: Status) -> ExchangeFibResponse:
    size = len(batch.n)
    return ExchangeFibResponse(sequence=batch.sequence, values=[b""] * size, errors=dict.fromkeys(range(size), status))
