"""GET /metrics: what the gateway tells Prometheus. It is no part of the API and stands in no document of it."""

from fastapi import APIRouter, Request, Response

from service_kit.metrics import PATH, Metrics


def metrics_routes(metrics: Metrics) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get(PATH)
    async def expose(request: Request) -> Response:
        body, content_type = metrics.exposed(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    return router
