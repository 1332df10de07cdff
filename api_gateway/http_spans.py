"""Spans of HTTP requests, begun where the caller's traceparent says; those too of requests that came to no layer."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Protocol

from starlette.types import Scope

from api_gateway.errors import ReaderTooSlow
from api_gateway.http_counts import METHODS, OTHER_METHOD, RouteTemplates
from api_gateway.problems import CLIENT_CLOSED_REQUEST
from service_kit.request_id import current_request_id
from service_kit.spans import Attributes, Span, attribute
from service_kit.trace_context import TraceContext, context_of
from service_kit.traces import Active, Tracer, current_span

#: The most of a path or query that is exported.
MAX_TEXT = 200

#: What OpenTelemetry has in the name of a span for a method that is none of METHODS.
_UNKNOWN = "HTTP"
_TRACE_FIELDS = frozenset({b"traceparent", b"tracestate"})

Headers = Iterable[tuple[bytes, bytes]]


class Outcome(Protocol):
    """What became of a request."""

    request_id: str
    status: int
    complete: bool
    disconnected: bool
    error: Exception | str | None


class RequestSpans:
    """Those of the requests that come to the layer around every request."""

    def __init__(self, *, tracer: Tracer, routes: RouteTemplates) -> None:
        self._tracer = tracer
        self._routes = routes

    def begin(self, scope: Scope) -> Span:
        """The current span of this task from here on; a request has one of its own, so nothing has to be set back."""
        method = scope["method"]
        name = method if method in METHODS else _UNKNOWN
        span = self._tracer.begin(name, "server", parent=_offered_context(scope["headers"]))
        current_span.set(span)
        return span

    def end(self, span: Span, scope: Scope, outcome: Outcome, error: str = "") -> None:
        """`error` is why it has no good answer, where that is known."""
        span.describe = lambda span: self._described(span, scope, outcome)
        if isinstance(outcome.error, ReaderTooSlow):
            span.fail("reader_too_slow", is_error=False)
        elif outcome.status == CLIENT_CLOSED_REQUEST or (outcome.disconnected and not outcome.complete):
            span.fail("client_left", is_error=False)
        elif not outcome.complete:
            span.fail("broken_off", error or "the response was not completed")
        elif outcome.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.fail(str(outcome.status), error)
        span.end()

    def _described(self, span: Span, scope: Scope, outcome: Outcome) -> Attributes:
        attributes: dict[str, str | int] = {
            "http.request.method": OTHER_METHOD if span.name == _UNKNOWN else span.name,
            "url.scheme": scope["scheme"],
            "url.path": scope["path"][:MAX_TEXT],
            "network.protocol.version": scope["http_version"],
            attribute("request_id"): outcome.request_id,
        }
        if scope["query_string"]:
            attributes["url.query"] = scope["query_string"][:MAX_TEXT].decode("latin-1")
        if outcome.status:
            attributes["http.response.status_code"] = outcome.status
        if route := self._routes.of(scope["path"]):
            attributes["http.route"] = route
            span.name = f"{span.name} {route}"
        return attributes


def _offered_context(headers: Headers) -> TraceContext | None:
    """That of the caller, if it sends one that can be read."""
    fields = [(name.decode(), value.decode("latin-1")) for name, value in headers if name in _TRACE_FIELDS]
    return context_of(fields) if fields else None


def refused_span(tracer: Tracer, headers: Headers, *, reason: str, status: int, seconds: float) -> Active:
    """Of a request that came to no layer, from when its connection was free for it `seconds` ago.

    Its head may be incomplete, so it has no method and no path.
    """
    span = tracer.begin(_UNKNOWN, "server", parent=_offered_context(headers))
    span.start_ns -= int(seconds * 1e9)
    span.attributes |= {
        "http.request.method": OTHER_METHOD,
        "http.response.status_code": status,
        attribute("refused"): reason,
        attribute("request_id"): current_request_id.get(),
    }
    return Active(span)
