"""Serves the metrics of a gRPC service on a port of their own, over plain HTTP.

It runs on the service's event loop and not in a thread: so what a scrape reads is of one moment.
"""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, parse_headers

import structlog

from service_kit.connections import break_off
from service_kit.lifecycle import bind_metrics_socket
from service_kit.loop_lag import measuring_lag
from service_kit.metrics import PATH, Metrics
from service_kit.settings import GrpcServiceSettings

log = structlog.get_logger()

#: One more and the oldest is broken off, so that who is slow keeps nobody else from an answer.
MAX_CONNECTIONS = 16
#: How long a scraper may take, from its connection to the last byte.
SCRAPE_SECONDS = 5.0
MAX_REQUEST_BYTES = 8 << 10

_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    accept: str


@asynccontextmanager
async def serving_metrics(settings: GrpcServiceSettings, metrics: Metrics) -> AsyncIterator[int]:
    """Serves until it is left, and yields the port. Raises CannotStart where the address is taken."""
    listener = bind_metrics_socket(settings)
    scrapes = _Scrapes(metrics)
    async with measuring_lag(metrics):
        server = await asyncio.start_server(scrapes.begin, sock=listener, limit=MAX_REQUEST_BYTES)
        try:
            yield listener.getsockname()[1]
        finally:
            server.close()
            await scrapes.end()
            await server.wait_closed()


class _Scrapes:
    """The connections. Each has one request and its answer."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._open: dict[asyncio.Task[None], None] = {}  # the oldest first

    def begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MAX_CONNECTIONS:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.cancel()
        task = asyncio.create_task(self._answer(reader, writer))
        self._open[task] = None
        task.add_done_callback(lambda task: self._end_one(task, writer))

    async def end(self) -> None:
        """Breaks off what is open."""
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end_one(self, task: "asyncio.Task[None]", writer: asyncio.StreamWriter) -> None:
        self._open.pop(task, None)
        if task.cancelled():  # perhaps before it began
            break_off(writer.transport)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(SCRAPE_SECONDS):
                with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                    writer.write(self._response(await _request(reader)))
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
        except TimeoutError:
            break_off(writer.transport)
        except Exception:
            log.exception("metrics.crashed")
            break_off(writer.transport)

    def _response(self, request: _Request | None) -> bytes:
        if request is None:
            return _message(HTTPStatus.BAD_REQUEST, b"the request is not well-formed HTTP/1.1\n", _TEXT)
        if request.path != PATH:
            return _message(HTTPStatus.NOT_FOUND, f"metrics are at {PATH}\n".encode(), _TEXT)
        if request.method not in {"GET", "HEAD"}:
            return _message(HTTPStatus.METHOD_NOT_ALLOWED, b"metrics are read with GET\n", _TEXT)
        body, content_type = self._metrics.exposed(request.accept)
        return _message(HTTPStatus.OK, body, content_type, head=request.method == "HEAD")


async def _request(reader: asyncio.StreamReader) -> _Request | None:
    """What is asked; None where that is no HTTP, or too long."""
    try:
        head = io.BytesIO(await reader.readuntil(b"\r\n\r\n"))
        method, target, _version = head.readline().decode("latin-1").split()
        accept = parse_headers(head).get("Accept", "")
    except (asyncio.LimitOverrunError, HTTPException, ValueError):
        return None
    return _Request(method, target.partition("?")[0], accept)


def _message(status: HTTPStatus, body: bytes, content_type: str, *, head: bool = False) -> bytes:
    """The whole answer, or what a HEAD gets of it."""
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "\r\n",
    )
    return "\r\n".join(lines).encode() + (b"" if head else body)
