"""What passes between the pool and a worker: frames of a kind, a length and that many bytes."""

import enum
import struct

#: Kind, then length of the payload.
HEADER = struct.Struct(">BI")
#: The longest piece of an answer that one frame carries.
MAX_DATA_BYTES = 256 << 10


class Kind(enum.IntEnum):
    """A task is one TASK frame; an answer is DATA frames and then END."""

    TASK = 1
    DATA = 2
    END = 3


def frame(kind: Kind, payload: bytes) -> bytes:
    return HEADER.pack(kind, len(payload)) + payload
