"""Serves an ASGI app with uvicorn, under our own signals."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from api_gateway.client_certificates import admitting, newest_context
from api_gateway.http_counts import HttpCounts
from api_gateway.http_protocol import TAKEN_BYTES, BoundedProtocol, Bounds, end_slow_connections
from api_gateway.settings import Settings
from service_kit.lifecycle import bind_socket
from service_kit.tls import Certificates
from service_kit.traces import Tracer

#: How long a connection that had a request stays open without another.
IDLE_SECONDS = 5
#: The server looks about ten times a second whether it should end; every so many times it looks for slow clients.
_TICKS_BETWEEN_LOOKS = 5


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, *, handshake_seconds: float) -> None:
        super().__init__(config)
        self._handshake_seconds = handshake_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, which leaves a minute for a TLS handshake."""
        loop, config = asyncio.get_running_loop(), self.config
        protocol = cast("Callable[..., asyncio.Protocol]", config.http_protocol_class)
        new_protocol = partial(protocol, config=config, server_state=self.server_state, app_state={})
        timeout = self._handshake_seconds if config.ssl else None
        self.servers = [
            await loop.create_server(
                new_protocol, sock=listener, ssl=config.ssl, backlog=config.backlog, ssl_handshake_timeout=timeout
            )
            for listener in sockets or ()
        ]
        self.started = True

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
    counts: HttpCounts,
    certificates: Certificates | None = None,
    protocol: type[BoundedProtocol] = BoundedProtocol,
    tracer: Tracer | None = None,
) -> AsyncIterator[int]:
    """Serves until it is left, and yields the port; then requests in flight get `drain_timeout_seconds`.

    With certificates it takes TLS and nothing else. Raises CannotStart when the address is taken.
    """
    listener = bind_socket(settings, reuse_port=settings.reuse_port)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, TAKEN_BYTES)  # its connections inherit it
    bounds = Bounds(
        connections=settings.max_connections,
        idle_seconds=IDLE_SECONDS,
        receive_seconds=settings.receive_timeout_seconds,
        send_seconds=settings.send_timeout_seconds,
    )
    config = uvicorn.Config(
        app,
        http=partial(admitting(protocol, settings.admitted_names), bounds=bounds, counts=counts, tracer=tracer),  # type: ignore[arg-type,call-arg]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ssl_context_factory=None if certificates is None else lambda *_: newest_context(certificates),
        timeout_graceful_shutdown=settings.drain_timeout_seconds,  # type: ignore[arg-type]  # it is only waited for
    )
    # It has a line for each request that is no HTTP, or wants another protocol; of those `http.refused` tells.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    server = _Server(config, handshake_seconds=settings.receive_timeout_seconds)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
