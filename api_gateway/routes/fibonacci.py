"""GET /fib: one number."""

from typing import Annotated

from fastapi import APIRouter, Query

from api_gateway.clients import FibonacciClient
from api_gateway.queries import FibonacciQuery
from api_gateway.schemas import FibonacciNumber


def fibonacci_routes(client: FibonacciClient) -> APIRouter:
    router = APIRouter(tags=["fibonacci"])

    @router.get("/fib", response_model_exclude_none=True)
    async def get_fibonacci(query: Annotated[FibonacciQuery, Query()]) -> FibonacciNumber:
        """The exact Fibonacci number of an index, with F(0) = 0 and F(1) = 1."""
        return await client.get(query.n)

    return router
