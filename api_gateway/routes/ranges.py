"""GET /fib/range: consecutive numbers as a stream."""

import contextlib
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.types import Receive, Scope, Send

from api_gateway.disconnection import send_while_connected
from api_gateway.errors import NotAcceptable
from api_gateway.fibonacci_client import FibonacciClient
from api_gateway.negotiation import choose_media_type
from api_gateway.number_responses import HEAD_KEY
from api_gateway.queries import RangeQuery, plain_integer
from api_gateway.range_stream import RangeStream, events, json_lines

JSON_LINES = "application/jsonl"
EVENT_STREAM = "text/event-stream"
_OFFERS = (JSON_LINES, EVENT_STREAM)
_HEADERS = {"Vary": "Accept", "Cache-Control": "no-store"}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The numbers in order, as they are computed: one JSON object a line, or by Accept server-sent "
        "events whose ids are the indices.",
        "content": {media_type: {"schema": {"type": "string"}} for media_type in _OFFERS},
    },
    204: {"description": "The range is complete: Last-Event-ID is its last index."},
}


class RangeResponse(Response):
    """Sends the pieces of a range as its reader takes them, and ends the computation when the reader goes.

    An error before the first byte is raised to the app, which makes a problem of it; a later one is BrokenOff.
    """

    def __init__(self, client: FibonacciClient, indices: range, media_type: str, *, head: bool) -> None:
        super().__init__(media_type=media_type, headers=_HEADERS)
        del self.headers["Content-Length"]
        self._client = client
        self._indices = indices
        self._head = head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_while_connected(scope, receive, self._send(send))

    async def _send(self, send: Send) -> None:
        # HEAD too: only the service knows its limit, and its first piece is a millisecond's work.
        stream = await self._client.stream_range(self._indices.start, len(self._indices))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if not self._head:
                await self._send_pieces(stream, send)
        finally:
            stream.close()
        await send({"type": "http.response.body", "body": b""})

    async def _send_pieces(self, stream: RangeStream, send: Send) -> None:
        written = events if self.media_type == EVENT_STREAM else json_lines
        async with contextlib.aclosing(stream.pieces()) as pieces:
            async for piece in pieces:
                await send({"type": "http.response.body", "body": written(piece), "more_body": True})


def range_routes(client: FibonacciClient) -> APIRouter:
    router = APIRouter(tags=["fibonacci"])

    @router.get("/fib/range", response_class=Response, responses=_RESPONSES)
    async def get_range(
        query: Annotated[RangeQuery, Query()],
        request: Request,
        last_event_id: Annotated[str | None, Header(description="Resume behind this index.")] = None,
    ) -> Response:
        """F(start), F(start + 1), … : `count` numbers."""
        media_type = choose_media_type(request.headers.get("accept", ""), _OFFERS)
        if media_type is None:
            raise NotAcceptable("Accept", _OFFERS)
        start, end = query.start, query.start + query.count
        if last_event_id is not None and media_type == EVENT_STREAM:
            start = _resumed(last_event_id, query.start, end)
            if start == end:
                return Response(status_code=204, headers=_HEADERS)
        return RangeResponse(client, range(start, end), media_type, head=HEAD_KEY in request.scope)

    return router


def _resumed(last_event_id: str, start: int, end: int) -> int:
    """The index to go on with. Raises RequestValidationError where the id is none of this range."""
    try:
        return plain_integer(start, end - 1)(last_event_id) + 1
    except ValueError as error:
        fault = {"type": "plain_integer", "loc": ("header", "Last-Event-ID"), "msg": str(error)}
        raise RequestValidationError([fault]) from None
