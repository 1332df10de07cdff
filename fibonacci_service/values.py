"""A number as it is sent, and how a small one is made."""

import hashlib
from dataclasses import dataclass

from fibonacci_service.errors import SliceOutOfRange
from fibonacci_service.sequence import Encoding, encode, fibonacci

#: Up to here a computation takes less than a millisecond, and runs on the event loop.
INLINE_MAX_INDEX = 150_000


@dataclass(frozen=True, slots=True)
class EncodedValue:
    """A number as it is sent, and the SHA-256 of those bytes."""

    data: bytes
    sha256: bytes

    def slice_bounds(self, offset: int, length: int) -> tuple[int, int]:
        """Where `length` bytes from `offset` on begin and end, or the rest if length is 0. Raises SliceOutOfRange."""
        total = len(self.data)
        if not 0 <= offset < total:
            raise SliceOutOfRange("offset", offset, total - 1)
        if length < 0:
            raise SliceOutOfRange("length", length, total)
        return offset, min(total, offset + length) if length else total


def encoded_value(n: int, encoding: Encoding) -> EncodedValue:
    """Computes a value here and now."""
    data = encode(fibonacci(n), encoding)
    return EncodedValue(data, hashlib.sha256(data).digest())
