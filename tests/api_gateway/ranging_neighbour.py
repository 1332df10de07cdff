"""A tiny fibonacci_service that sends ranges, with the faults and waits that the real one does not have."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from service_kit.pb.fibonacci import fib_pb2
from tests.api_gateway.neighbours import TinyFibonacci
from tests.api_gateway.streaming_neighbour import Before, nothing


class RangingFibonacci(TinyFibonacci):
    """Sends made-up numbers of so many digits, some in a piece; `left_out` not at all, or so many too many."""

    def __init__(self, before_piece: Before = nothing, *, digits: int = 1, numbers: int = 1, left_out: int = 0) -> None:
        super().__init__()
        self.before_piece = before_piece
        self.lines = (b"7" * digits + b"\n") * numbers
        self.numbers = numbers
        self.left_out = left_out
        self.ranges: list[tuple[int, int]] = []
        self.sent_pieces = 0
        self.cancelled = asyncio.Event()

    async def StreamRange(
        self, request: fib_pb2.StreamRangeRequest, context: Any
    ) -> AsyncIterator[fib_pb2.StreamRangeResponse]:
        self.ranges.append((request.start, request.count))
        try:
            for place in range(0, request.count - self.left_out, self.numbers):
                await self.before_piece(place, context)
                self.sent_pieces += 1
                yield fib_pb2.StreamRangeResponse(first=request.start + place, lines=self.lines)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.set()
            raise
