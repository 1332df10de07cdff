"""GET and POST /fib/batch: several numbers at once, all or none."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query

from api_gateway.fibonacci_client import FibonacciClient
from api_gateway.json_body import JsonBodyRoute
from api_gateway.problems import CONTENT
from api_gateway.queries import BatchQuery, BodyIndices, NoQuery
from api_gateway.representations import INT64_MAX_INDEX
from api_gateway.schemas import FibonacciNumber, FibonacciNumbers

_UNSUPPORTED: dict[int | str, dict[str, Any]] = {
    415: {
        "description": "The body is not announced as JSON by Content-Type, or is coded by Content-Encoding.",
        "content": CONTENT,
        "headers": {
            "Accept": {"schema": {"type": "string"}, "description": "The type of a body, where it has another."},
            "Accept-Encoding": {"schema": {"type": "string"}, "description": "Its coding, where it has another."},
        },
    }
}


def batch_routes(client: FibonacciClient) -> APIRouter:
    router = APIRouter(tags=["fibonacci"], route_class=JsonBodyRoute)

    @router.get("/fib/batch", response_model_exclude_none=True)
    async def get_batch(query: Annotated[BatchQuery, Query()]) -> FibonacciNumbers:
        """Up to 1,000 numbers in the order asked, whose digits together are predicted to stay within 1 MiB."""
        return await numbers(query.n, "n")

    @router.post("/fib/batch", response_model_exclude_none=True, responses=_UNSUPPORTED)
    async def post_batch(
        _query: Annotated[NoQuery, Query()],
        indices: Annotated[BodyIndices, Body()],
    ) -> FibonacciNumbers:
        """The same for a JSON list of indices, which has room for more than a URL."""
        return await numbers(indices, "body")

    async def numbers(indices: list[int], field: str) -> FibonacciNumbers:
        values = await client.get_each(indices, field=field)
        return FibonacciNumbers(numbers=[_number(n, value) for n, value in zip(indices, values, strict=True)])

    return router


def _number(n: int, value: str) -> FibonacciNumber:
    return FibonacciNumber(n=n, x=int(value) if n <= INT64_MAX_INDEX else None, value=value)
