"""Connections that are kept, for clients that send at their own pace."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

#: Connections that may be open at once.
MAX_CONNECTIONS = 256
#: One that was idle for longer is not used again: the gateway closes it after 5 seconds.
MAX_IDLE_SECONDS = 3.0
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    head: bytes
    body: bytes


class Connections:
    """To one port of this machine; as many as are needed at once, up to MAX_CONNECTIONS."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[float, _Connection]] = []
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)

    async def get(self, path: str) -> Response:
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: identity\r\n\r\n".encode()
        async with self._connection() as (reader, writer):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
        return Response(int(head.split(b" ", 2)[1]), head, body)

    def close(self) -> None:
        for _, (_reader, writer) in self._idle:
            writer.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[_Connection]:
        """One that is idle, or a new one; it is kept for the next request unless the answer was not read."""
        async with self._places:
            connection = await self._opened()
            try:
                yield connection
            except BaseException:
                connection[1].close()
                raise
            self._idle.append((time.monotonic(), connection))

    async def _opened(self) -> _Connection:
        while self._idle:
            since, connection = self._idle.pop()
            if time.monotonic() - since < MAX_IDLE_SECONDS:
                return connection
            connection[1].close()
        return await asyncio.open_connection("127.0.0.1", self._port)
