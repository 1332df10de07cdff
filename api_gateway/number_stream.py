"""One long number on its way from fibonacci_service."""

import asyncio
from typing import TYPE_CHECKING

import grpc

from api_gateway.errors import BrokenOff
from api_gateway.stream_reading import let_end, next_message
from service_kit.pb.fibonacci.fib_pb2 import StreamFibRequest, StreamFibResponse

if TYPE_CHECKING:
    StreamFibCall = grpc.aio.UnaryStreamCall[StreamFibRequest, StreamFibResponse]


class NumberStream:
    """Reads a call of StreamFib no faster than its reader asks, and holds it to the length that it announced.

    `total_bytes` and `sha256` are those of the whole number, whatever part of it was asked for.
    """

    def __init__(self, call: "StreamFibCall", request: StreamFibRequest, *, service: str, stall_seconds: float) -> None:
        self._call = call
        self._request = request
        self._service = service
        self._stall_seconds = stall_seconds
        self._piece = b""
        self._missing_bytes = 0
        self.total_bytes = 0
        self.sha256 = b""

    async def open(self) -> None:
        """Awaits the first message, as long as the caller likes. Raises AioRpcError."""
        first = await next_message(self._call) or StreamFibResponse()
        if first.total_bytes < 1:
            raise ValueError(f"{self._service} announced no length of F({self._request.n})")
        self.total_bytes, self.sha256, self._piece = first.total_bytes, first.sha256, first.data
        follow = self.total_bytes - self._request.offset
        self._missing_bytes = min(self._request.length or follow, follow)

    async def read(self) -> bytes:
        """The next piece; empty at the end. Raises BrokenOff where it does not come or does not fit."""
        while self._missing_bytes > 0 and not self._piece:
            self._piece = await self._next_piece()
        piece, self._piece = self._piece, b""
        self._missing_bytes -= len(piece)
        if self._missing_bytes < 0:
            raise BrokenOff(self._service, f"{-self._missing_bytes} bytes more than announced")
        return piece

    def close(self) -> None:
        """Ends the call, wherever it is; one that has sent all of its bytes ends by itself."""
        if self.total_bytes and self._missing_bytes == len(self._piece):
            let_end(self._call, patience_seconds=self._stall_seconds)
        else:
            self._call.cancel()

    async def _next_piece(self) -> bytes:
        try:
            async with asyncio.timeout(self._stall_seconds):
                message = await next_message(self._call)
        except TimeoutError:
            raise BrokenOff(self._service, f"nothing for {self._stall_seconds:g} s") from None
        except grpc.aio.AioRpcError as error:
            raise BrokenOff(self._service, f"{error.code().name}: {error.details()}") from None
        if message is None:
            raise BrokenOff(self._service, f"{self._missing_bytes} bytes less than announced")
        return message.data
