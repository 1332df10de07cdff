"""The one layer around every HTTP request: request id, HEAD, bodies too long, unexpected errors, the log line."""

import asyncio
import time
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_gateway.errors import BrokenOff
from api_gateway.number_responses import HEAD_KEY
from api_gateway.problems import MAX_BODY_BYTES, body_too_long, problem
from service_kit.logs import RequestLog
from service_kit.request_id import HEADER, accept_request_id, current_request_id

log = structlog.get_logger()

#: The most of a path or query that is logged.
MAX_LOGGED = 200
#: Asked every few seconds by whatever watches over the process; only a refusal is worth a line.
_PROBED = frozenset({"/livez", "/readyz"})
_HEADER = HEADER.lower().encode()


class RequestLayer:
    """Pure ASGI: a BaseHTTPMiddleware would buffer, and costs several times as much."""

    def __init__(self, app: ASGIApp, *, request_log: RequestLog) -> None:
        self._app = app
        self._request_log = request_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = accept_request_id(_header(scope, _HEADER))
        current_request_id.set(request_id)
        exchange = _Exchange(send, request_id=request_id, head=scope["method"] == "HEAD")
        if exchange.head:
            scope = {**scope, "method": "GET", HEAD_KEY: True}
        started = time.perf_counter()
        try:
            await self._answer(scope, receive, exchange.send)
        except asyncio.CancelledError:
            # The drain took too long, and uvicorn ends what is still in flight.
            if exchange.status == 0:
                await problem(503, "api_gateway is stopping")(scope, receive, exchange.send)
        except BrokenOff as error:
            # uvicorn closes the connection of a response that was not completed.
            log.warning("http.broken_off", path=scope["path"][:MAX_LOGGED], error=str(error))
        except Exception:
            log.exception("http.crashed", path=scope["path"][:MAX_LOGGED])
            if exchange.status == 0:
                await problem(500)(scope, receive, exchange.send)
        finally:
            self._log(scope, exchange, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = _header(scope, b"content-length")
        # One sent in chunks is cut off by the app, which would answer this one in plain text.
        too_long = length.isdigit() and int(length) > MAX_BODY_BYTES
        await (body_too_long() if too_long else self._app)(scope, receive, send)

    def _log(self, scope: MutableMapping[str, Any], exchange: "_Exchange", seconds: float) -> None:
        if scope["path"] in _PROBED and not exchange.failed:
            return
        if self._request_log.wants(request_id=current_request_id.get(), failed=exchange.failed, seconds=seconds):
            log.info(
                "http.served",
                method="HEAD" if exchange.head else scope["method"],
                path=scope["path"][:MAX_LOGGED],
                query=scope["query_string"][:MAX_LOGGED].decode("ascii", "replace"),
                status=exchange.status,
                duration_ms=round(seconds * 1000, 3),
            )


class _Exchange:
    """One response on its way out: its status, its request id, and no body where HEAD asked."""

    def __init__(self, send: Send, *, request_id: str, head: bool) -> None:
        self._send = send
        self._request_id = request_id.encode()
        self.head = head
        self.status = 0

    @property
    def failed(self) -> bool:
        return self.status == 0 or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (_HEADER, self._request_id)]
        elif self.head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)


def _header(scope: Scope, name: bytes) -> str:
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return ""
