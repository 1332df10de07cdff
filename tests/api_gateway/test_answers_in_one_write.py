"""What leaves a connection of the real server, write by write."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from api_gateway.http_counts import HttpCounts, RouteTemplates
from api_gateway.http_protocol import BoundedProtocol
from api_gateway.http_server import serving
from api_gateway.response_cycle import ResponseCycle
from api_gateway.settings import Settings


class Recorded:
    """A transport that keeps what is written to it."""

    def __init__(self, transport: Any, writes: list[bytes]) -> None:
        self._transport = transport
        self._writes = writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._writes.append(bytes(data))
        self._transport.write(data)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    answer = StreamingResponse(pieces()) if scope["path"] == "/pieces" else PlainTextResponse("whole")
    await answer(scope, receive, send)


@asynccontextmanager
async def recording(writes: list[bytes], cycles: list[type]) -> AsyncIterator[int]:
    class Recording(BoundedProtocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(Recorded(transport, writes))

        def on_response_complete(self) -> None:
            cycles.append(type(self.cycle))
            super().on_response_complete()

    settings = Settings(listen_port=0, drain_timeout_seconds=1)
    async with serving(app, settings, counts=HttpCounts(RouteTemplates([])), protocol=Recording) as port:
        yield port


async def written(method: str, path: str) -> list[bytes]:
    writes: list[bytes] = []
    cycles: list[type] = []
    async with recording(writes, cycles) as port, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        # The server closes behind its last answer, so all of them have come at the end.
        head = f"{method} {path} HTTP/1.1\r\nHost: gateway\r\n"
        writer.write(f"{head}\r\n{head}Connection: close\r\n\r\n".encode())
        assert await reader.read() == b"".join(writes)
        writer.close()
        await writer.wait_closed()
    assert cycles == [ResponseCycle, ResponseCycle]
    return writes


@pytest.mark.parametrize(("method", "body"), [("GET", b"whole"), ("HEAD", b"")])
async def test_a_whole_answer_is_one_write(method: str, body: bytes) -> None:
    writes = await written(method, "/")

    assert [head.startswith(b"HTTP/1.1 200 ") and head.endswith(b"\r\n\r\n" + body) for head in writes] == [True] * 2


async def test_the_head_of_an_answer_in_pieces_waits_for_none_of_them() -> None:
    writes = await written("GET", "/pieces")

    assert [data.endswith(b"\r\n\r\n") for data in writes] == [True, False, False, True] * 2
    assert writes[1] == b"3\r\none\r\n"
