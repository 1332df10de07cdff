"""A span around every HTTP request, begun where the caller's traceparent says."""

from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_gateway.http_counts import RouteTemplates
from api_gateway.http_spans import method_name, method_of, offered_context
from api_gateway.middleware import PROBED
from api_gateway.problems import CLIENT_CLOSED_REQUEST
from service_kit.request_id import current_request_id
from service_kit.spans import Attributes, Span, attribute
from service_kit.traces import Tracer, current_span

#: The most of a path or query that is exported.
MAX_TEXT = 200


class TraceLayer:
    """Stands outside RequestLayer, so that the line in the log knows the span. Health has none."""

    def __init__(self, app: ASGIApp, *, tracer: Tracer, routes: RouteTemplates) -> None:
        self._app = app
        self._tracer = tracer
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBED:
            await self._app(scope, receive, send)
            return
        span = self._tracer.begin(method_name(scope), "server", parent=offered_context(scope["headers"]))
        # Each request has a task of its own, so nothing needs to be set back.
        current_span.set(span)
        exchange = _Exchange(receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        finally:
            self._end(span, scope, exchange)

    def _end(self, span: Span, scope: Scope, exchange: "_Exchange") -> None:
        request_id = current_request_id.get()
        span.describe = lambda span: self._described(span, scope, exchange.status, request_id)
        if exchange.client_left:
            span.fail("client_left", is_error=False)
        elif not exchange.complete:
            span.fail("broken_off", "the response was not completed")
        elif exchange.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.fail(str(exchange.status))
        span.end()

    def _described(self, span: Span, scope: Scope, status: int, request_id: str) -> Attributes:
        attributes: dict[str, str | int] = {
            "http.request.method": method_of(scope),
            "url.scheme": scope["scheme"],
            "url.path": scope["path"][:MAX_TEXT],
            "network.protocol.version": scope["http_version"],
            attribute("request_id"): request_id,
        }
        if scope["query_string"]:
            attributes["url.query"] = scope["query_string"][:MAX_TEXT].decode("latin-1")
        if status:
            attributes["http.response.status_code"] = status
        if route := self._routes.of(scope["path"]):
            attributes["http.route"] = route
            span.name = f"{span.name} {route}"
        return attributes


class _Exchange:
    """What became of one request."""

    __slots__ = ("_receive", "_send", "complete", "disconnected", "status")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.status = 0
        self.complete = self.disconnected = False

    @property
    def client_left(self) -> bool:
        return self.status == CLIENT_CLOSED_REQUEST or (self.disconnected and not self.complete)

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.disconnected = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body" and not message.get("more_body"):
            self.complete = True
        await self._send(message)
