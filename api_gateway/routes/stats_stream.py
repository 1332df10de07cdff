"""GET /stats/stream: the account as it changes."""

import asyncio
import contextlib
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.types import Receive, Scope, Send

from api_gateway.disconnection import send_while_connected
from api_gateway.errors import NotAcceptable
from api_gateway.negotiation import choose_media_type
from api_gateway.no_store import NoStoreRoute
from api_gateway.number_responses import HEAD_KEY
from api_gateway.queries import WatchQuery
from api_gateway.stats_client import StatsClient
from api_gateway.stats_stream import StatsStream

EVENT_STREAM = "text/event-stream"
#: nginx gathers an answer before it passes it on, unless it is told not to.
_HEADERS = {"X-Accel-Buffering": "no", "Vary": "Accept"}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events named stats. The data of each is one JSON object as /stats answers it, "
        "without next_page_token: the totals, and of the 100 busiest numbers all in the first event, and in the others "
        "those that are new among them or have changed. There are no ids, because a reader that connects again starts "
        "with everything. A comment comes when nothing else was sent for 15 s. The stream ends when the gateway or "
        "stats_service stops; an EventSource then connects again by itself, and gives up at any answer but 200.",
        "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
    },
}


class StatsEvents(Response):
    """Sends the changes as its reader takes them, until reader, gateway or stats_service ends it.

    An error before the first byte is raised to the app, which makes a problem of it; there is none after it.
    """

    media_type = EVENT_STREAM

    def __init__(self, client: StatsClient, *, interval_seconds: float, draining: asyncio.Event, head: bool) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["Content-Length"]
        self._client = client
        self._interval_seconds = interval_seconds
        self._draining = draining
        self._head = head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_while_connected(scope, receive, self._send(send))

    async def _send(self, send: Send) -> None:
        async with self._client.watch(interval_seconds=self._interval_seconds) as stream:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if not self._head:
                await self._send_events(stream, send)
        await send({"type": "http.response.body", "body": b""})

    async def _send_events(self, stream: StatsStream, send: Send) -> None:
        async with contextlib.aclosing(stream.events(self._draining)) as events:
            async for event in events:
                await send({"type": "http.response.body", "body": event, "more_body": True})


def stats_stream_routes(client: StatsClient, draining: asyncio.Event) -> APIRouter:
    router = APIRouter(tags=["stats"], route_class=NoStoreRoute)

    @router.get("/stats/stream", response_class=Response, responses=_RESPONSES)
    async def watch_stats(query: Annotated[WatchQuery, Query()], request: Request) -> Response:
        """The totals and the busiest numbers at once, and then whenever they change."""
        if choose_media_type(request.headers.get("accept", ""), (EVENT_STREAM,)) is None:
            raise NotAcceptable("Accept", (EVENT_STREAM,))
        head = HEAD_KEY in request.scope
        return StatsEvents(client, interval_seconds=query.interval, draining=draining, head=head)

    return router
