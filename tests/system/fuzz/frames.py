"""Bytes for a gRPC port: calls as HTTP/2 frames, and what is wrong with them."""

import random
import struct
from collections.abc import Iterator

from tests.system.fuzz.mutations import cut, mutated

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 1, 4

_PATHS = {
    "fibonacci": (b"/fibonacci.Fibonacci/GetFib", b"/fibonacci.Fibonacci/ExchangeFib", b"/grpc.health.v1.Health/Check"),
    "stats": (b"/stats.Stats/RecordNo", b"/stats.Stats/GetStats", b"/grpc.health.v1.Health/Check"),
}
_ODD_PATHS = (b"", b"fib", b"/", b"*", b"/\xff", b"/" + b"p" * 3_000)
_ODD_FIELDS = (
    (b"grpc-timeout", b"-1S"),
    (b"grpc-timeout", b"99999999999999H"),
    (b"grpc-timeout", b"\xff"),
    (b"grpc-encoding", b"nonsense"),
    (b"grpc-accept-encoding", b",,,"),
    (b"content-length", b"-1"),
    (b"Upper-Case", b"x"),
    (b":unknown", b"x"),
    (b":method", b"GET"),
    (b"content-type", b"text/html"),
    (b":path", b"/again"),
    (b"connection", b"keep-alive"),
    (b"x-request-id", b"\x00\r\n"),
    (b"x-bin", b"%%%"),
    (b"x", b"y" * 20_000),
)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def frames_of(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and payload of each frame, of the last one as much as is there."""
    while len(text) > 9:
        end = 9 + int.from_bytes(text[:3], "big")
        yield text[3], text[9:end]
        text = text[end:]


def call(*fields: tuple[bytes, bytes], stream: int, message: bytes, ends: bool = True) -> bytes:
    """Frames of a call: its header fields, and its one message as gRPC frames it."""
    head = frame(HEADERS, END_HEADERS, stream, b"".join(_literal(*field) for field in fields)[:16_000])
    return head + frame(DATA, END_STREAM if ends else 0, stream, message)


def call_fields(path: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"service"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    ]


def connections(random_: random.Random, count: int, service: str) -> Iterator[bytes]:
    """What a client writes at once, from the first byte of a connection."""
    for _ in range(count):
        kind = random_.random()
        if kind < 0.1:
            yield random_.randbytes(random_.randrange(1, 300))
        elif kind < 0.2:
            yield PREFACE + random_.randbytes(random_.randrange(300))
        else:
            text = PREFACE + frame(SETTINGS, 0, 0) + _frames(random_, service)
            yield text if kind < 0.6 else mutated(random_, text) if kind < 0.9 else cut(random_, text)


def _frames(random_: random.Random, service: str) -> bytes:
    frames = [_call(random_, service, stream) for stream in (1, 3, 5)[: random_.randrange(1, 4)]]
    if random_.random() < 0.7:
        frames.insert(random_.randrange(len(frames) + 1), _oddity(random_))
    return b"".join(frames)


def _call(random_: random.Random, service: str, stream: int) -> bytes:
    fields = call_fields(random_.choice(_PATHS[service] if random_.random() < 0.9 else _ODD_PATHS))
    if random_.random() < 0.2:
        fields.pop(random_.randrange(len(fields)))
    if random_.random() < 0.2:
        fields.insert(random_.randrange(len(fields) + 1), random_.choice(_ODD_FIELDS))
    return call(*fields, stream=stream, message=_message(random_), ends=random_.random() < 0.9)


def _literal(name: bytes, value: bytes) -> bytes:
    """A header field in HPACK, in full and outside the table."""
    return b"\0" + _length(name) + name + _length(value) + value


def _length(text: bytes) -> bytes:
    if len(text) < 127:
        return bytes((len(text),))
    rest = len(text) - 127
    low = b""
    while rest >= 128:
        low += bytes((rest % 128 + 128,))
        rest //= 128
    return b"\x7f" + low + bytes((rest,))


def _message(random_: random.Random) -> bytes:
    """Whole, compressed by its flag alone, longer or shorter than it says, or noise."""
    text = random_.choice((b"\x08\x0a", b"", random_.randbytes(random_.randrange(40))))
    length = len(text) if random_.random() < 0.8 else random_.choice((0, 1, 50, 2**31, 2**32 - 1))
    flag = 0 if random_.random() < 0.9 else random_.choice((1, 2, 255))
    return bytes((flag,)) + struct.pack(">I", length) + text


def _oddity(random_: random.Random) -> bytes:
    stream = random_.choice((0, 1, 2, 3, 7, 2**31 - 1))
    noise = random_.randbytes(random_.randrange(40))
    return random_.choice(
        (
            frame(random_.randrange(256), random_.randrange(256), stream, noise),
            frame(RST_STREAM, 0, stream, struct.pack(">I", random_.randrange(2**32))) * random_.randrange(1, 50),
            frame(SETTINGS, 0, 0, struct.pack(">HI", random_.randrange(9), random_.randrange(2**32)) * 20),
            frame(SETTINGS, 0, stream, noise),
            frame(SETTINGS, 0, 0) * 100,
            frame(PING, 0, 0, bytes(8)) * 100,
            frame(PING, 0, stream, noise),
            frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", random_.choice((0, 1, 2**31 - 1, 2**32 - 1)))),
            frame(CONTINUATION, 0, stream, noise) * 50,
            frame(HEADERS, 0, 9, noise) + frame(CONTINUATION, 0, 9, noise) * 50,
            frame(PUSH_PROMISE, END_HEADERS, stream, noise),
            frame(GOAWAY, 0, 0, noise),
            frame(PRIORITY, 0, 11, struct.pack(">IB", 11, 1)),
            frame(DATA, 0, stream, bytes(1_000)) * 30,
            b"\xff\xff\xff" + bytes((DATA, 0)) + struct.pack(">I", 1) + noise,
        )
    )
