"""A collector: receives spans over OTLP on a socket, and keeps them."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

PATIENCE_SECONDS = 15.0
KINDS = {
    trace_pb2.Span.SPAN_KIND_INTERNAL: "internal",
    trace_pb2.Span.SPAN_KIND_SERVER: "server",
    trace_pb2.Span.SPAN_KIND_CLIENT: "client",
}


@dataclass(frozen=True, slots=True)
class Received:
    """One span as it came over the wire."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    state: str
    attributes: dict[str, Any]
    links: frozenset[tuple[str, str]]
    flags: int
    is_error: bool
    description: str
    milliseconds: float

    @property
    def identity(self) -> tuple[str, str]:
        """As links name it."""
        return self.trace_id, self.span_id

    @property
    def place(self) -> tuple[str, str, str]:
        return self.service, self.kind, self.name


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """A gRPC server on a free port of loopback."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self._came = threading.Condition()
        self._server: grpc.Server | None = None
        self.port = 0

    @property
    def settings(self) -> dict[str, str]:
        """What sends the spans of a process here, soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}", "OTEL_BSP_SCHEDULE_DELAY": "20"}

    def Export(self, request: Any, context: Any) -> Any:
        with self._came:
            self.spans += _received(request)
            self._came.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def wait_for(self, wanted: Callable[[Received], bool]) -> Received:
        """The first span of which that is true; waits for it to come."""
        return self.wait_for_all(wanted, 1)[0]

    def wait_for_all(self, wanted: Callable[[Received], bool], count: int) -> list[Received]:
        patience_ends = time.monotonic() + PATIENCE_SECONDS
        with self._came:
            while len(found := [span for span in self.spans if wanted(span)]) < count:
                if not self._came.wait(patience_ends - time.monotonic()):
                    raise TimeoutError(f"{len(found)} of {count} spans came; all: {[s.place for s in self.spans]}")
            return found

    def trace(self, trace_id: str, *places: tuple[str, str, str]) -> dict[tuple[str, str, str], Received]:
        """The first span of a trace in each of these places, once they have come."""
        return {place: self.wait_for(partial(_is_at, trace_id, place)) for place in places}

    def __enter__(self) -> Self:
        self._server = grpc.server(ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.stop(0).wait()


def _is_at(trace_id: str, place: tuple[str, str, str], span: Received) -> bool:
    return span.trace_id == trace_id and span.place == place


def _received(request: Any) -> list[Received]:
    return [
        _span(_values(resource_spans.resource.attributes)["service.name"], span)
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


def _span(service: str, span: trace_pb2.Span) -> Received:
    return Received(
        service=service,
        name=span.name,
        kind=KINDS[span.kind],
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        state=span.trace_state,
        attributes=_values(span.attributes),
        links=frozenset((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        flags=span.flags,
        is_error=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        description=span.status.message,
        milliseconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e6,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}
