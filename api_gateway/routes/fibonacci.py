"""GET /fib: one number."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api_gateway.direct import DirectRoute
from api_gateway.fibonacci_client import FibonacciClient
from api_gateway.number_responses import respond
from api_gateway.problems import CONTENT
from api_gateway.queries import FibonacciQuery
from api_gateway.schemas import FibonacciNumber

_DIGITS_AND_BYTES: Mapping[str, Any] = {
    "text/plain": {"schema": {"type": "string", "pattern": "^[0-9]+$"}},
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The number: JSON, the decimal digits alone, or big-endian bytes, by Accept. "
        "Long text is compressed with gzip where Accept-Encoding asks for it.",
        "content": _DIGITS_AND_BYTES,
    },
    206: {
        "description": "The bytes that Range asks for, of digits or big-endian bytes that are not compressed.",
        "content": _DIGITS_AND_BYTES,
    },
    304: {"description": "The client has the number already: If-None-Match names its ETag."},
    412: {
        "description": "If-Match does not name the ETag of the answer.",
        "content": CONTENT,
    },
}


def fibonacci_routes(client: FibonacciClient) -> APIRouter:
    router = APIRouter(tags=["fibonacci"], route_class=DirectRoute)

    @router.get("/fib", response_model=FibonacciNumber, responses=_RESPONSES)
    async def get_fibonacci(query: Annotated[FibonacciQuery, Query()], request: Request) -> Response:
        """The exact Fibonacci number of an index, with F(0) = 0 and F(1) = 1."""
        return await respond(client, query.n, request.scope, request.receive)

    return router
