"""Serves an ASGI app with uvicorn, under our own signals."""

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api_gateway.client_certificates import admitting, newest_context
from api_gateway.problems import problem
from api_gateway.settings import Settings
from service_kit.lifecycle import bind_socket
from service_kit.request_id import current_request_id, new_request_id
from service_kit.tls import Certificates


class _Protocol(HttpToolsProtocol):
    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets a problem too, where uvicorn answers in plain text."""
        response = contextvars.copy_context().run(_malformed)
        lines = (b"%b: %b\r\n" % header for header in (*response.raw_headers, (b"connection", b"close")))
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n%b\r\n%b" % (b"".join(lines), bytes(response.body)))
        self.transport.close()


def _malformed() -> Response:
    current_request_id.set(new_request_id())
    return problem(400, "The request is not well-formed HTTP/1.1; a URL has to be percent-encoded ASCII.")


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals alone: uvicorn raises them again, and nothing after it would run."""
        yield


@asynccontextmanager
async def serving(app: ASGIApp, settings: Settings, *, certificates: Certificates | None = None) -> AsyncIterator[int]:
    """Serves until it is left, and yields the port; then requests in flight get `drain_timeout_seconds`.

    With certificates it takes TLS and nothing else. Raises CannotStart when the address is taken.
    """
    listener = bind_socket(settings, reuse_port=settings.reuse_port)
    config = uvicorn.Config(
        app,
        http=admitting(_Protocol, settings.admitted_names),
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
