"""Refuses at once what comes while as many requests are in flight as may be, before anything is done for it."""

import contextvars

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api_gateway.http_counts import HttpCounts
from api_gateway.middleware import PROBED
from api_gateway.outer_fields import with_outer_fields
from api_gateway.problems import problem
from service_kit.request_id import HEADER, accept_request_id, current_request_id


class InFlightLayer:
    """Around all that costs something, so that a refusal costs a small part of an answer. Health is never refused."""

    def __init__(self, app: ASGIApp, *, counts: HttpCounts, max_requests: int) -> None:
        self._app = app
        self._max_requests = max_requests
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._counts.in_flight >= self._max_requests and scope["path"] not in PROBED:
            await self._refuse(scope, receive, send)
            return
        self._counts.in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._counts.in_flight -= 1

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = contextvars.copy_context().run(self._refusal, scope)
        await response(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response:
        current_request_id.set(accept_request_id(Headers(scope=scope).get(HEADER, "")))
        self._counts.refused.count("in_flight", client=scope["client"][0] if scope.get("client") else "")
        return with_outer_fields(problem(503, f"{self._max_requests} requests are in flight, as many as may be"))
