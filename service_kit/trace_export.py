"""Hands spans to OpenTelemetry's SDK, which sends them to a collector. Loaded only where one is named.

Everything is set by OpenTelemetry's own variables, and read by the SDK itself.
"""

import logging
import re
import threading
from collections.abc import Sequence
from importlib.metadata import version

import structlog
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import (
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from service_kit.spans import Attributes, Kind, Span, attribute
from service_kit.trace_context import TraceContext

log = structlog.get_logger()

DISTRIBUTION = "exact-fibonacci"
#: The most of what the exporter says that is logged.
MAX_COMPLAINT = 300
#: As samplers of the SDK describe themselves.
_STANDARD = re.compile(
    r"(?:ParentBased\{root:)?(?P<name>AlwaysOnSampler|AlwaysOffSampler|TraceIdRatioBased\{(?P<rate>[\d.e-]+)\})"
)
_KINDS: dict[Kind, SpanKind] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
}


class SpanExport:
    """Raises ValueError where a variable makes no sense."""

    def __init__(self, *, service: str, instance: str, endpoint: str) -> None:
        resource = _resource(service, instance)
        #: The SDK chooses a sampler by OTEL_TRACES_SAMPLER for whoever gives it none.
        self._head = TracerProvider(resource=resource, shutdown_on_exit=False).sampler
        self._bound = _bound_of(self._head.get_description())
        self._ids = _GivenIds()
        provider = TracerProvider(resource=resource, sampler=ALWAYS_ON, id_generator=self._ids, shutdown_on_exit=False)
        self._exporter = OTLPSpanExporter()
        self._processor = BatchSpanProcessor(_Watched(self._exporter, endpoint=endpoint, complaints=_Complaints()))
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer(DISTRIBUTION, version(DISTRIBUTION))
        # It has a line for each tracestate that is odd.
        logging.getLogger("opentelemetry.trace").setLevel(logging.CRITICAL)

    def sampled(self, trace_id: int, parent: TraceContext | None, name: str, kind: Kind) -> bool:
        if parent is None and self._bound is not None:
            return trace_id & TraceIdRatioBased.TRACE_ID_LIMIT < self._bound
        before = _span_context(parent._replace(state=""), is_remote=True) if parent else None
        around = set_span_in_context(NonRecordingSpan(before)) if before else None
        decision = self._head.should_sample(around, trace_id, name, _KINDS[kind]).decision
        return decision is Decision.RECORD_AND_SAMPLE

    def export(self, span: Span) -> None:
        """Puts it into the SDK's queue, or drops it where that is full. Never waits."""
        self._ids.trace_id, self._ids.span_id = span.context.trace_id, span.context.span_id
        parent = _span_context(span.parent, is_remote=span.is_root) if span.parent else None
        attributes = _attributes(span)  # first, for it may give the span its name
        sent = self._tracer.start_span(
            span.name,
            set_span_in_context(NonRecordingSpan(parent)) if parent else None,
            _KINDS[span.kind],
            attributes,
            [Link(_span_context(context, is_remote=False)) for context in span.links],
            span.start_ns,
        )
        if span.is_error:
            sent.set_status(Status(StatusCode.ERROR, span.description or None))
        sent.end(span.end_ns)

    def close(self, seconds: float) -> None:
        """Sends what is left within that time, and gives up the rest."""
        closing = threading.Thread(target=self._processor.shutdown, daemon=True)
        closing.start()
        closing.join(seconds)
        if closing.is_alive():
            self._exporter.shutdown()
            log.warning("traces.not_flushed", seconds=seconds)


class _GivenIds(IdGenerator):
    """The SDK takes the ids that a span has already. Spans are exported on the event loop alone."""

    def __init__(self) -> None:
        self.trace_id = self.span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class _Complaints(logging.Handler):
    """Keeps what the exporter says of its last failure, which it tells its log alone, at each attempt."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last = ""
        exporter = logging.getLogger("opentelemetry.exporter")
        exporter.handlers, exporter.propagate = [self], False

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()[:MAX_COMPLAINT]


class _Watched(SpanExporter):
    """Logs that spans do not arrive, and why: once an outage, not once an attempt."""

    def __init__(self, exporter: SpanExporter, *, endpoint: str, complaints: _Complaints) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._complaints = complaints
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            if not self._lost:
                log.warning("traces.unreachable", endpoint=self._endpoint, error=self._complaints.last)
            self._lost += len(spans)
        elif self._lost:
            log.info("traces.reachable", lost_spans=self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _bound_of(sampler: str) -> int | None:
    """Below which trace ids are sampled that have no parent, where a standard sampler decides; else None.

    To ask the SDK takes several times as long, of every request.
    """
    found = _STANDARD.match(sampler)
    if found is None:
        return None
    rate = float(found["rate"]) if found["rate"] else float(found["name"] == "AlwaysOnSampler")
    return TraceIdRatioBased.get_bound_for_rate(rate)


def _resource(service: str, instance: str) -> Resource:
    """Who sends the spans; what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say, wins."""
    own = {SERVICE_NAME: service, SERVICE_VERSION: version(DISTRIBUTION), SERVICE_INSTANCE_ID: instance}
    return Resource.create(own).merge(OTELResourceDetector().detect())


def _attributes(span: Span) -> Attributes:
    attributes = {**(span.describe(span) if span.describe else {}), **span.attributes}
    if span.error_type:
        attributes["error.type"] = span.error_type
    if span.root.kept != "sampled":  # so that nobody counts rates from what was kept for a reason
        attributes[attribute("kept")] = span.root.kept
    return attributes


def _span_context(context: TraceContext, *, is_remote: bool) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    state = TraceState.from_header([context.state]) if context.state else None
    return SpanContext(context.trace_id, context.span_id, is_remote, flags, state)
