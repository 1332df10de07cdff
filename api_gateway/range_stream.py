"""Consecutive numbers on their way from fibonacci_service to a client."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING

import grpc

from api_gateway.errors import BrokenOff
from api_gateway.representations import INT64_MAX_INDEX
from api_gateway.stream_reading import let_end, next_message
from service_kit.pb.fibonacci.fib_pb2 import StreamRangeRequest, StreamRangeResponse

if TYPE_CHECKING:
    StreamRangeCall = grpc.aio.UnaryStreamCall[StreamRangeRequest, StreamRangeResponse]


class RangeStream:
    """Reads a call of StreamRange no faster than its reader asks, and holds it to the count that was asked for."""

    def __init__(
        self, call: "StreamRangeCall", request: StreamRangeRequest, *, service: str, stall_seconds: float
    ) -> None:
        self._call = call
        self._service = service
        self._stall_seconds = stall_seconds
        self._missing = request.count
        self._first = StreamRangeResponse()

    async def open(self) -> None:
        """Awaits the first message, as long as the caller likes. Raises AioRpcError."""
        first = await next_message(self._call)
        if first is None:
            raise ValueError(f"{self._service} sent no numbers of a range")
        self._first = first

    async def pieces(self) -> AsyncGenerator[StreamRangeResponse, None]:
        """Raises BrokenOff where a piece does not come, or all of them hold another count of numbers."""
        piece: StreamRangeResponse | None = self._first
        while piece is not None:
            self._missing -= piece.lines.count(b"\n")
            if self._missing < 0:
                raise BrokenOff(self._service, f"{-self._missing} numbers more than asked for")
            yield piece
            piece = await self._next() if self._missing > 0 else None
        if self._missing > 0:
            raise BrokenOff(self._service, f"{self._missing} numbers less than asked for")

    def close(self) -> None:
        """Ends the call, wherever it is; one that has sent all of its numbers ends by itself."""
        if self._missing == 0:
            let_end(self._call, patience_seconds=self._stall_seconds)
        else:
            self._call.cancel()

    async def _next(self) -> StreamRangeResponse | None:
        try:
            async with asyncio.timeout(self._stall_seconds):
                return await next_message(self._call)
        except TimeoutError:
            raise BrokenOff(self._service, f"nothing for {self._stall_seconds:g} s") from None
        except grpc.aio.AioRpcError as error:
            raise BrokenOff(self._service, f"{error.code().name}: {error.details()}") from None


def json_lines(piece: StreamRangeResponse) -> bytes:
    """The numbers of a piece as JSON objects, one a line."""
    return b"".join(b"%b\n" % number for _, number in _json_numbers(piece))


def events(piece: StreamRangeResponse) -> bytes:
    """The numbers of a piece as server-sent events, whose ids are their indices."""
    return b"".join(b"id: %d\ndata: %b\n\n" % numbered for numbered in _json_numbers(piece))


def _json_numbers(piece: StreamRangeResponse) -> Iterator[tuple[int, bytes]]:
    for n, digits in enumerate(piece.lines.splitlines(), piece.first):
        x = b'"x":%b,' % digits if n <= INT64_MAX_INDEX else b""
        yield n, b'{"n":%d,%b"value":"%b"}' % (n, x, digits)
