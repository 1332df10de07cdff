"""An ASGI app on uvicorn as it comes, with the event loop, the garbage collection and the signals of the gateway.

So a ceiling has what everybody may have, and not what the gateway's own server does better or bounds.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from api_gateway.settings import Settings
from service_kit.lifecycle import bind_socket, run_service


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to run_service."""
        yield


def run_app(program: str, app: ASGIApp) -> None:
    @asynccontextmanager
    async def running(settings: Settings) -> AsyncIterator[int]:
        listener = bind_socket(settings)
        config = uvicorn.Config(
            app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False, server_header=False
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await serving

    run_service(
        program=program,
        settings_type=Settings,
        running=running,
        arguments=sys.argv[1:],
        environment=os.environ,
    )
