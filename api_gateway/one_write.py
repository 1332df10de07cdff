"""The head of an answer and the first of its body in one write: each is a system call, and a packet for the client."""

import asyncio

_LENGTH = b"\r\ncontent-length: "
_CONTINUE = b"HTTP/1.1 100 "
#: More of a body is not copied behind its head, which would take longer than to write it by itself.
MAX_JOINED_BYTES = 16 << 10


class OneWrite:
    """What one request writes to its connection, in the place of the transport.

    A head that tells the length of its body waits for the body, which follows at once: who answers so has it. A body in
    chunks may take its time, and its head does not wait. Not for HEAD, whose answers have a length and no body.
    """

    __slots__ = ("_began", "_held", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._began = False
        self._held = b""

    def write(self, data: bytes) -> None:
        if self._held:
            if len(data) <= MAX_JOINED_BYTES:
                data = self._held + data
            else:
                self._transport.write(self._held)
            self._held = b""
        elif not self._began and not data.startswith(_CONTINUE):
            self._began = True
            if _LENGTH in data:
                self._held = data
                return
        self._transport.write(data)

    def close(self) -> None:
        """An answer that breaks off after its head is seen to do so."""
        if self._held:
            self._transport.write(self._held)
            self._held = b""
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()
