"""GET /livez and GET /readyz: whether to restart the gateway, and whether to send it requests."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api_gateway.errors import ServiceUnavailable
from api_gateway.fibonacci_client import FibonacciClient
from api_gateway.queries import NoQuery
from api_gateway.schemas import Liveness, Readiness
from api_gateway.stats_client import StatsClient


def health_routes(*, fibonacci: FibonacciClient, stats: StatsClient, draining: Callable[[], bool]) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/livez")
    async def liveness(_query: Annotated[NoQuery, Query()], response: Response) -> Liveness:
        """The process answers."""
        response.headers["Cache-Control"] = "no-store"
        return Liveness(status="alive")

    @router.get("/readyz")
    async def readiness(_query: Annotated[NoQuery, Query()], response: Response) -> Readiness:
        """Numbers can be asked for: fibonacci_service is connected and the gateway is not stopping.

        stats_service is reported and not required, for /fib works without it.
        """
        if draining():
            raise ServiceUnavailable("api_gateway", "it is stopping")
        if not fibonacci.connected():
            raise ServiceUnavailable("fibonacci_service", "no connection")
        response.headers["Cache-Control"] = "no-store"
        return Readiness(status="ready", fibonacci_service=True, stats_service=stats.connected())

    return router
