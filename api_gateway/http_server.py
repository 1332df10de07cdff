"""Serves an ASGI app with uvicorn, under our own signals."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from service_kit.lifecycle import bind_socket
from service_kit.settings import ServiceSettings


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals alone: uvicorn raises them again, and nothing after it would run."""
        yield


@asynccontextmanager
async def serving(app: ASGIApp, settings: ServiceSettings) -> AsyncIterator[int]:
    """Serves until it is left, and yields the port; then requests in flight get `drain_timeout_seconds`.

    Raises CannotStart when the address is taken.
    """
    listener = bind_socket(settings)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(settings.drain_timeout_seconds)),
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
