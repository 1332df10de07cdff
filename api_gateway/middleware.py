"""The one layer around every HTTP request: request id, deadline, HEAD, long bodies, errors, the drain, the log line.

It is around the ordinary way and the direct one, so what goes for every request, such as limits, metrics and
tracing, has its place here.
"""

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_gateway import deadlines, problems
from api_gateway.errors import BrokenOff, batch_of
from api_gateway.http_counts import HttpCounts
from api_gateway.http_spans import RequestSpans
from api_gateway.number_responses import HEAD_KEY
from api_gateway.request_facts import RequestFacts
from api_gateway.security_headers import SecurityHeaders
from service_kit.logs import RequestLog
from service_kit.request_id import HEADER, accept_request_id, current_request_id, new_request_id

log = structlog.get_logger()

#: The most of a path or query that is logged.
MAX_LOGGED = 200
#: Asked as often as whatever watches over the process likes; only a refusal is worth a line.
PROBED = frozenset({"/livez", "/readyz", "/metrics"})
_HEADER = HEADER.lower().encode()
_DEADLINE_HEADER = deadlines.HEADER.lower().encode()
_CLOSE = (b"connection", b"close")
_LEAST_FAILURE = int(HTTPStatus.INTERNAL_SERVER_ERROR)


class RequestLayer:
    """Pure ASGI: a BaseHTTPMiddleware would buffer, and costs several times as much.

    While the gateway drains, each answer is the last one on its connection, so that its client opens the next
    connection elsewhere and loses no request when this one is closed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        counts: HttpCounts,
        request_log: RequestLog,
        security_headers: SecurityHeaders,
        max_deadline_seconds: float,
        draining: asyncio.Event,
        spans: RequestSpans | None = None,
    ) -> None:
        self._app = app
        self._spans = spans
        self._counts = counts
        self._max_deadline_seconds = max_deadline_seconds
        self._security_headers = security_headers
        self._request_log = request_log
        self._draining = draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        method = scope["method"]
        exchange = _Exchange(scope, receive, send, self._security_headers, self._draining)
        current_request_id.set(exchange.request_id)
        span = None
        if self._spans and scope["path"] not in PROBED:
            span, receive = self._spans.begin(scope), exchange.receive
        if exchange.head:
            scope = {**scope, "method": "GET", HEAD_KEY: True}
        # A body that is sent in chunks is cut off by the app, which would answer this one in plain text.
        app = problems.body_too_long() if exchange.body_bytes > problems.MAX_BODY_BYTES else self._app
        exchange.stand_in(scope)
        try:
            if exchange.timeout is not None:
                deadlines.take(exchange.timeout, max_seconds=self._max_deadline_seconds)
            await app(scope, receive, exchange.send)
        except asyncio.CancelledError:
            # The drain took too long, and uvicorn ends what is still in flight.
            if exchange.status == 0:
                exchange.error = "api_gateway is stopping"
                await problems.problem(503, exchange.error)(scope, receive, exchange.send)
        except BrokenOff as error:
            # uvicorn closes the connection of a response that was not completed.
            exchange.error = error
            log.warning("http.broken_off", path=scope["path"][:MAX_LOGGED], error=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends here
            await self._fail(error, exchange, scope, receive)
        finally:
            self._tell(scope, exchange, method, time.perf_counter() - started)
            if self._spans and span:
                self._spans.end(span, scope, exchange, exchange.cause if exchange.failed else "")
            exchange.leave(scope)

    def _tell(self, scope: Scope, exchange: "_Exchange", method: str, seconds: float) -> None:
        """Counts the request, and has a line for it where it is to have one."""
        self._counts.served(method=method, path=scope["path"], status=exchange.status, seconds=seconds)
        if exchange.facts or self._request_log.wants(
            request_id=exchange.request_id, failed=exchange.failed, seconds=seconds
        ):
            _log(scope, exchange, seconds)

    async def _fail(self, error: Exception, exchange: "_Exchange", scope: Scope, receive: Receive) -> None:
        exchange.error = error
        answer = problems.of_error(error)
        if answer is None or exchange.status != 0:
            log.error("http.crashed", path=scope["path"][:MAX_LOGGED], exc_info=error)
        if exchange.status == 0:
            await (answer or problems.problem(500))(scope, receive, exchange.send)


class _Exchange(RequestFacts):
    """One request and its response on its way out: its status, its own fields, and no body where HEAD asked."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, security_headers: SecurityHeaders, draining: asyncio.Event
    ) -> None:
        self._receive = receive
        self._send = send
        self._draining = draining
        self.head = scope["method"] == "HEAD"
        self.status = 0
        self.complete = self.disconnected = False
        self.body_bytes = 0
        self.request_id = ""
        self.timeout: bytes | None = None
        for name, value in scope["headers"]:
            if name == _HEADER:
                self.request_id = accept_request_id(value.decode("latin-1"))
            elif name == b"content-length" and value.isdigit():
                self.body_bytes = int(value)
            elif name == _DEADLINE_HEADER:
                self.timeout = value
        self.request_id = self.request_id or new_request_id()
        super().__init__([(_HEADER, self.request_id.encode()), *security_headers.of(scope["path"])])

    @property
    def failed(self) -> bool:
        return self.status == 0 or self.status >= _LEAST_FAILURE

    @property
    def cause(self) -> str:
        """Why it failed, in words for those who run this."""
        if isinstance(self.error, Exception):
            return problems.cause_of(self.error)
        return self.error or ""

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.disconnected = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = self.status or message["status"]  # unless the connection has answered itself
            message["headers"] = [*message.get("headers", ()), *self.fields]
            if self._draining.is_set():
                message["headers"].append(_CLOSE)
        elif message["type"] == "http.response.body":
            if self.head:
                message = {**message, "body": b""}
            if not message.get("more_body"):
                self.complete = True
        await self._send(message)


def _log(scope: Scope, exchange: _Exchange, seconds: float) -> None:
    if scope["path"] in PROBED and not exchange.failed:
        return
    log.info(
        "http.served",
        method="HEAD" if exchange.head else scope["method"],
        path=scope["path"][:MAX_LOGGED],
        query=scope["query_string"][:MAX_LOGGED].decode("ascii", "replace"),
        status=exchange.status,
        duration_ms=round(seconds * 1000, 3),
        **(exchange.facts or {}),
        **(_why(exchange) if exchange.error else {}),
    )


def _why(exchange: _Exchange) -> Mapping[str, Any]:
    """The batch too that a request failed in: its attempts have lines of that id, here and in fibonacci_service."""
    batch_id = batch_of(exchange.error) if isinstance(exchange.error, Exception) else None
    return {"error": exchange.cause, **({"batch_id": batch_id} if batch_id else {})}
