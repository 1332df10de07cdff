"""Sends what is written in one turn of the event loop as one packet."""

import asyncio
from collections.abc import Callable
from typing import Any

#: What is written beyond this is sent at once, so that the transport can say that it has enough.
MAX_HELD_BYTES = 64 << 10


class CorkedTransport:
    """A transport whose writes leave together.

    uvicorn writes the head of an answer and then its body, and uvloop sends each as it comes: two system calls, two
    packets, and often two wake-ups of whoever reads them. Held until the turn ends, the answers that one batch brings
    also leave one right after the other.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.is_closing: Callable[[], bool] = transport.is_closing

    def write(self, piece: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._send)
        self._held.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes > MAX_HELD_BYTES:
            self._send()

    def close(self) -> None:
        self._send()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _send(self) -> None:
        if self._held and not self._transport.is_closing():
            self._transport.write(b"".join(self._held))
        self._held.clear()
        self._held_bytes = 0
