"""Ends the long calls of a server that stops, each between two of its messages."""

import asyncio
from typing import Any

import grpc


class Drain:
    """Reads from clients that may keep a call open for as long as they like."""

    def __init__(self) -> None:
        self._begun = False
        self._waits: set[asyncio.Timeout] = set()

    def begin(self) -> None:
        """From here on no call gets another message: each ends once it has answered what it had read."""
        self._begun = True
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            wait.reschedule(now)

    async def read(self, context: Any) -> Any:
        """The next message of a call; EOF once its client has no more or the server drains."""
        if self._begun:
            return grpc.aio.EOF
        # A timeout costs 1 us a message; a race of two tasks, which would also do, costs ten times as much.
        try:
            async with asyncio.timeout(None) as wait:
                self._waits.add(wait)
                try:
                    return await context.read()
                finally:
                    self._waits.discard(wait)
        except TimeoutError:
            return grpc.aio.EOF
