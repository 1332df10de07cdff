"""What a request passes on its way to its route, from the outside to the inside."""

import asyncio

from fastapi import FastAPI
from starlette.types import ASGIApp

from api_gateway.client_addresses import ClientAddresses, parse_networks
from api_gateway.cross_origin import CrossOriginLayer
from api_gateway.direct import DirectRoutes
from api_gateway.faults import with_faults
from api_gateway.http_counts import HttpCounts
from api_gateway.http_spans import RequestSpans
from api_gateway.in_flight import InFlightLayer
from api_gateway.middleware import RequestLayer
from api_gateway.origins import parse_origins
from api_gateway.rates import parse_rates
from api_gateway.security_headers import SecurityHeaders, page_policies
from api_gateway.settings import Settings
from service_kit.logs import RequestLog
from service_kit.traces import Tracer


async def layered(
    app: FastAPI, settings: Settings, *, counts: HttpCounts, draining: asyncio.Event, tracer: Tracer | None = None
) -> ASGIApp:
    """The app in its layers. Those that are off by default are around it only where a setting turns them on."""
    inner = with_faults(DirectRoutes(app), settings)
    if settings.rate_limit:
        inner = _limited(inner, settings, counts)
    outer: ASGIApp = RequestLayer(
        inner,
        counts=counts,
        request_log=RequestLog(policy=settings.log_requests),
        security_headers=SecurityHeaders(policies=await page_policies(app), hsts_seconds=settings.hsts_seconds),
        max_deadline_seconds=settings.max_deadline_seconds,
        draining=draining,
        spans=RequestSpans(tracer=tracer, routes=counts.templates) if tracer else None,
    )
    outer = InFlightLayer(outer, counts=counts, max_requests=settings.max_in_flight)
    if settings.cors_origins:
        outer = CrossOriginLayer(outer, origins=parse_origins(settings.cors_origins))
    return outer


def _limited(app: ASGIApp, settings: Settings, counts: HttpCounts) -> ASGIApp:
    from api_gateway.rate_limit_storage import BoundedMemoryStorage  # noqa: PLC0415 - limits takes 60 ms and 3 MB
    from api_gateway.rate_limits import RateLimitLayer  # noqa: PLC0415

    return RateLimitLayer(
        app,
        counts=counts,
        rates=parse_rates(settings.rate_limit),
        client_of=ClientAddresses(parse_networks(settings.trusted_proxies)),
        storage=BoundedMemoryStorage(),
    )
