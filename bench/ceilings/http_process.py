"""An ASGI app as the gateway runs its own: the same server, event loop, garbage collection, signals and settings."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from api_gateway.http_counts import HttpCounts, RouteTemplates
from api_gateway.http_server import serving
from api_gateway.settings import Settings
from service_kit.lifecycle import run_service


def run_app(program: str, app: ASGIApp) -> None:
    @asynccontextmanager
    async def running(settings: Settings) -> AsyncIterator[int]:
        async with serving(app, settings, counts=HttpCounts(RouteTemplates([]))) as port:
            yield port

    run_service(
        program=program,
        settings_type=Settings,
        running=running,
        arguments=sys.argv[1:],
        environment=os.environ,
    )
