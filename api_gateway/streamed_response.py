"""Sends a large number as it arrives, and stops when the client goes away."""

import grpc
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api_gateway.compression import Gzip
from api_gateway.disconnection import send_while_connected
from api_gateway.errors import RangeNotSatisfiable, UpstreamError
from api_gateway.fibonacci_client import FibonacciClient
from api_gateway.negotiation import ByteRange
from api_gateway.number_stream import NumberStream
from api_gateway.representations import Selected


class StreamedResponse(Response):
    """A number that is never held whole.

    An error before the first byte is raised to the app, which makes a problem of it; a later one is BrokenOff.
    """

    def __init__(self, client: FibonacciClient, selected: Selected, asked: ByteRange | None, *, head: bool) -> None:
        super().__init__()
        self._client = client
        self._selected = selected
        self._asked = asked
        self._head = head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_while_connected(scope, receive, self._send(send))

    async def _send(self, send: Send) -> None:
        stream = await self._open()
        try:
            await send(self._start(stream))
            if not self._head:
                await self._send_body(stream, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            stream.close()

    async def _send_body(self, stream: NumberStream, send: Send) -> None:
        gzip = Gzip() if self._selected.coding == "gzip" else None

        async def write(piece: bytes) -> None:
            body = await gzip.compress(piece) if gzip else piece
            if body:
                await send({"type": "http.response.body", "body": body, "more_body": True})

        before, after = self._selected.envelope()
        await write(before)
        while piece := await stream.read():
            await write(piece)
        await write(after)
        if gzip:
            await send({"type": "http.response.body", "body": await gzip.finish(), "more_body": True})

    def _start(self, stream: NumberStream) -> Message:
        status, selected = 200, self._selected
        if self._asked:
            part = self._asked.within(stream.total_bytes)
            if part is None:
                raise RangeNotSatisfiable(stream.total_bytes)
            status, headers = 206, selected.part_headers(part, total_bytes=stream.total_bytes, sha256=stream.sha256)
        elif selected.resumable:
            headers = selected.resumable_headers(stream.total_bytes, sha256=stream.sha256)
        else:
            around = sum(map(len, selected.envelope()))
            headers = selected.headers(None if selected.coding == "gzip" else around + stream.total_bytes)
        return {"type": "http.response.start", "status": status, "headers": headers}

    async def _open(self) -> NumberStream:
        if self._head:
            return await self._stream(length=1)
        if self._asked is None:
            return await self._stream()
        return await self._open_part(self._asked)

    async def _open_part(self, asked: ByteRange) -> NumberStream:
        offset = asked.first
        if offset is None:  # where the last so many bytes begin is known once the length is
            total_bytes = await self._total_bytes()
            part = asked.within(total_bytes)
            if part is None:
                raise RangeNotSatisfiable(total_bytes)
            return await self._stream(offset=part.start)
        try:
            return await self._stream(offset=offset, length=0 if asked.last is None else asked.last - offset + 1)
        except UpstreamError as error:
            if error.code is not grpc.StatusCode.OUT_OF_RANGE:
                raise
            raise RangeNotSatisfiable(await self._total_bytes()) from error

    async def _total_bytes(self) -> int:
        stream = await self._stream(length=1)
        stream.close()
        return stream.total_bytes

    async def _stream(self, *, offset: int = 0, length: int = 0) -> NumberStream:
        selected = self._selected
        return await self._client.stream(selected.n, selected.representation.encoding, offset=offset, length=length)
