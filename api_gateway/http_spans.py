"""Spans of HTTP requests: where they are begun, what they are called, and those of requests that came to no layer."""

from collections.abc import Iterable, Mapping
from http import HTTPMethod

from service_kit.request_id import current_request_id
from service_kit.spans import attribute
from service_kit.trace_context import TraceContext, context_of
from service_kit.traces import Active, Tracer

_METHODS = frozenset(HTTPMethod)
#: What OpenTelemetry has for a method that is none of those, as an attribute and in the name of a span.
_OTHER, _UNKNOWN = "_OTHER", "HTTP"
_TRACE_FIELDS = frozenset({b"traceparent", b"tracestate"})

Headers = Iterable[tuple[bytes, bytes]]


def offered_context(headers: Headers) -> TraceContext | None:
    """That of the caller, if it sends one that can be read."""
    fields = [(name.decode(), value.decode("latin-1")) for name, value in headers if name in _TRACE_FIELDS]
    return context_of(fields) if fields else None


def method_of(scope: Mapping[str, str]) -> str:
    """One of those that there are, for names of spans must not be without number."""
    method = scope["method"]
    return method if method in _METHODS else _OTHER


def method_name(scope: Mapping[str, str]) -> str:
    """What a span is called before its route is known."""
    return scope["method"] if scope["method"] in _METHODS else _UNKNOWN


def refused_span(tracer: Tracer, headers: Headers, *, reason: str, status: int, seconds: float) -> Active:
    """Of a request that came to no layer, from when its connection was free for it `seconds` ago.

    Its head may be incomplete, so it has no method and no path.
    """
    span = tracer.begin(_UNKNOWN, "server", parent=offered_context(headers))
    span.start_ns -= int(seconds * 1e9)
    span.attributes |= {
        "http.request.method": _OTHER,
        "http.response.status_code": status,
        attribute("refused"): reason,
        attribute("request_id"): current_request_id.get(),
    }
    return Active(span)
