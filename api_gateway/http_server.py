"""Serves an ASGI app with uvicorn, under our own signals."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from api_gateway.client_certificates import admitting, newest_context
from api_gateway.http_protocol import BoundedProtocol, Bounds, end_slow_connections
from api_gateway.settings import Settings
from service_kit.lifecycle import bind_socket
from service_kit.tls import Certificates

#: How long a connection without a request stays open.
KEEP_ALIVE_SECONDS = 5
#: The server looks about ten times a second whether it should end; every so many times it looks for slow clients.
_TICKS_BETWEEN_LOOKS = 5


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals alone: uvicorn raises them again, and nothing after it would run."""
        yield

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_BETWEEN_LOOKS == 0:
            end_slow_connections(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)


@asynccontextmanager
async def serving(
    app: ASGIApp,
    settings: Settings,
    *,
    certificates: Certificates | None = None,
    protocol: type[BoundedProtocol] = BoundedProtocol,
) -> AsyncIterator[int]:
    """Serves until it is left, and yields the port; then requests in flight get `drain_timeout_seconds`.

    With certificates it takes TLS and nothing else. Raises CannotStart when the address is taken.
    """
    listener = bind_socket(settings, reuse_port=settings.reuse_port)
    bounds = Bounds(
        connections=settings.max_connections,
        receive_seconds=settings.receive_timeout_seconds,
        send_seconds=settings.send_timeout_seconds,
    )
    config = uvicorn.Config(
        app,
        http=partial(admitting(protocol, settings.admitted_names), bounds=bounds),  # type: ignore[arg-type,call-arg]
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ssl_context_factory=None if certificates is None else lambda *_: newest_context(certificates),
        timeout_graceful_shutdown=settings.drain_timeout_seconds,  # type: ignore[arg-type]  # it is only waited for
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
