"""GET /stats, /stats/minutes and /stats/{n}: what was answered so far."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api_gateway.no_store import NoStoreRoute
from api_gateway.queries import Index, NoQuery, StatsQuery
from api_gateway.schemas import Minutes, NumberStats, Stats
from api_gateway.stats_client import StatsClient


def stats_routes(client: StatsClient) -> APIRouter:
    router = APIRouter(tags=["stats"], route_class=NoStoreRoute)

    @router.get("/stats", response_model=Stats)
    async def list_stats(query: Annotated[StatsQuery, Query()]) -> Response:
        """The totals over every number, and a page of the numbers: by default the 100 busiest."""
        return _answer(await client.list(limit=query.limit, order=query.order, page_token=query.page_token))

    @router.get("/stats/minutes", response_model=Minutes)
    async def list_minutes(_query: Annotated[NoQuery, Query()]) -> Response:
        """The totals of each minute of the last 24 hours."""
        return _answer(await client.minutes())

    @router.get("/stats/{n}", response_model=NumberStats)
    async def get_number_stats(
        n: Annotated[Index, Path(description="The index.")], _query: Annotated[NoQuery, Query()]
    ) -> Response:
        """What happened to one number; 404 where it was never asked for, or has no row of its own any more."""
        return _answer(await client.get(n))

    return router


def _answer(body: bytes) -> Response:
    return Response(body, media_type="application/json")
