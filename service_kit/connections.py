"""The end of a connection whose other side does not read."""

import asyncio
import socket
import struct

#: `struct linger`: the kernel drops what it has not sent, where it would keep it for a client that does not read.
_NO_LINGERING = struct.pack("ii", 1, 0)


def break_off(transport: asyncio.WriteTransport) -> None:
    """Resets the connection at once, with all that is on its way."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
    transport.abort()
