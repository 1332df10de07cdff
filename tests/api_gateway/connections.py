"""Bytes to the gateway over connections of their own, which no client library would send so."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.slow_clients import PATIENCE_SECONDS

#: A request without its end.
HEAD = b"GET /livez HTTP/1.1\r\nHost: gateway\r\n"
#: A body that announces more than comes.
UNFINISHED_BATCH = (
    b"POST /fib/batch HTTP/1.1\r\nHost: gateway\r\nX-Request-ID: of-the-client\r\n"
    b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n[1"
)
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(client: httpx.AsyncClient) -> AsyncIterator[Connection]:
    url = client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def answer_to(client: httpx.AsyncClient, request: bytes) -> bytes:
    """Everything that comes until the gateway closes."""
    async with connected(client) as (reader, writer), asyncio.timeout(PATIENCE_SECONDS):
        writer.write(request)
        return await reader.read()


def asking_for(n: int, fields: bytes = b"") -> bytes:
    return b"GET /fib?n=%d HTTP/1.1\r\nHost: gateway\r\n%b\r\n" % (n, fields)


def address(client: httpx.AsyncClient) -> tuple[str, int]:
    assert client.base_url.port is not None
    return client.base_url.host, client.base_url.port


def problem_in(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    found = json.loads(body)
    assert head.startswith(b"HTTP/1.1 %d " % found["status"])
    return found["status"], found["detail"]
