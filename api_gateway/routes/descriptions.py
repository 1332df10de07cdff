"""GET /fib/describe: what is known of a number, and its price, before it is computed."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api_gateway.fibonacci_client import FibonacciClient
from api_gateway.queries import DescribeQuery
from api_gateway.schemas import FibonacciDescription


def description_routes(client: FibonacciClient) -> APIRouter:
    router = APIRouter(tags=["fibonacci"])

    @router.get("/fib/describe", response_model_exclude_none=True)
    async def describe(query: Annotated[DescribeQuery, Query()], response: Response) -> FibonacciDescription:
        """The length and the ends of F(n), exact, and what computing all of it is predicted to take here."""
        response.headers["Cache-Control"] = "no-store"
        return await client.describe(query.n)

    return router
