"""GET /stats: what was answered so far."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api_gateway.queries import StatsQuery
from api_gateway.schemas import Stats
from api_gateway.stats_client import StatsClient


def stats_routes(client: StatsClient) -> APIRouter:
    router = APIRouter(tags=["stats"])

    @router.get("/stats")
    async def list_stats(query: Annotated[StatsQuery, Query()], response: Response) -> Stats:
        """The totals over every number, and the busiest numbers."""
        response.headers["Cache-Control"] = "no-store"
        return await client.list(limit=query.limit)

    return router
