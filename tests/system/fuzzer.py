"""What a hostile client might send: requests made from a seed, most of them malformed, all of them small."""

import random
import string
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_from_bytes

from google.protobuf.message import DecodeError, Message

from service_kit.pb.fibonacci.fib_pb2 import BatchGetFibRequest, FibonacciRequest
from service_kit.pb.stats.stats_pb2 import ListStatsRequest, NumberRecord, RecordRequest

METHODS: dict[str, type[Message]] = {
    "/fibonacci.Fibonacci/GetFib": FibonacciRequest,
    "/fibonacci.Fibonacci/BatchGetFib": BatchGetFibRequest,
    "/stats.Stats/RecordNo": RecordRequest,
    "/stats.Stats/ListStats": ListStatsRequest,
}

_PATHS = (
    "/fib",
    "/stats",
    "/livez",
    "/readyz",
    "/",
    "/fib/",
    "//fib",
    "/%66ib",
    "/fib%00",
    "/.%2e/fib",
)
_HTTP_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "QUERY")
_NAMES = (b"n", b"limit", b"N", b"n[]", b"", b"\xff", b"__proto__")
_EDGES = (0, 1, -1, 92, 93, 100_000, 100_001, 2**31 - 1, -(2**31), 2**32, 2**53, 2**63 - 1, -(2**63), 2**64)
_LINES = (
    b"GET /fib?n=10 HTTP/1.1",
    b"GET http://elsewhere/fib?n=10 HTTP/1.1",
    b"GET http://elsewhere HTTP/1.1",
    b"GET /fib?n=10",
    b"OPTIONS * HTTP/1.1",
    b"CONNECT elsewhere:443 HTTP/1.1",
    b"PRI * HTTP/2.0",
    b"GET /\xc3\xa9?n=\xff HTTP/1.1",
    b"GET /fib?n=10 HTTP/1.0",
)
_HEADERS = (
    b"Host: gateway",
    b"Host: gateway\r\nHost: other",
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 3",
    b"Transfer-Encoding: \xff",
    b"Expect: 100-continue",
    b"Connection: upgrade\r\nUpgrade: websocket",
    b"X-Request-ID: a\r\n b",
    b"X-Request-ID: \xe9\xff",
    b"X-Request-ID: " + b"r" * 3_000,
    b": no name",
    b"No colon",
    b"Space : before",
    b"NUL: \x00",
    b"X: " + b"x" * 20_000,
)
#: Follows every raw request, so that a connection that is still good after it ends.
_LAST = b"\r\n\r\nGET /livez HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"


def raw_requests(random_: random.Random, count: int) -> Iterator[bytes]:
    """Bytes for a connection, a valid request at their end."""
    for _ in range(count):
        kind = random_.random()
        if kind < 0.2:
            yield random_.randbytes(random_.randrange(1, 400)) + _LAST
            continue
        lines = [random_.choice(_LINES), *random_.sample(_HEADERS, random_.randrange(5))]
        text = (
            b"\r\n".join(lines) + b"\r\n\r\n" + random_.choice((b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n"))
        )
        yield (text if kind < 0.6 else mutated(random_, text)) + _LAST


def queries(random_: random.Random, count: int) -> Iterator[tuple[str, str, dict[bytes, bytes]]]:
    """The method, target and headers of well-formed HTTP requests whose contents are not."""
    for _ in range(count):
        method = "GET" if random_.random() < 0.8 else random_.choice(_HTTP_METHODS)
        pairs = (_query_pair(random_) for _ in range(random_.choice((0, 1, 1, 1, 2, 5, 50))))
        path = random_.choice(_PATHS) if random_.random() < 0.4 else "/fib"
        target = f"{path}?{random_.choice('&&&;')}".removesuffix("&") + "&".join(pairs)
        request_id = "".join(random_.choices(string.printable[:94] + "\xe9", k=random_.randrange(80)))
        yield method, target, {b"X-Request-ID": request_id.encode("latin-1")}


def _query_pair(random_: random.Random) -> str:
    edge = random_.choice(_EDGES)
    value = random_.choice(
        (
            b"%d" % edge,
            b"%d" % random_.randrange(100_000),
            b" %d" % edge,
            b"+%d" % edge,
            b"%d.0" % edge,
            b"%de3" % edge,
            hex(edge).encode(),
            "٣".encode(),
            b"9" * random_.randrange(1, 5_000),
            random_.randbytes(random_.randrange(60)),
        )
    )
    return f"{quote_from_bytes(random_.choice(_NAMES))}={quote_from_bytes(value, safe='+;=&')}"


def messages(random_: random.Random, count: int) -> Iterator[tuple[str, bytes]]:
    """Methods of the services with what might be a request: noise, damaged requests, and whole ones at the edges."""
    for _ in range(count):
        method, message_type = random_.choice(list(METHODS.items()))
        kind = random_.random()
        if kind < 0.4:
            yield method, random_.randbytes(random_.randrange(120))
            continue
        request = believable(random_) if method.endswith("RecordNo") and kind > 0.6 else filled(random_, message_type())
        text = request.SerializeToString()
        yield method, text if kind < 0.8 else mutated(random_, text)


def believable(random_: random.Random) -> Message:
    """A batch that keeps every rule of the contract and says that more was answered than ever could be."""
    most = random_.choice((1, 10**9, 2**31, 2**63 - 1))
    indices = sorted({random_.randrange(2**31) for _ in range(random_.choice((0, 0, 3)))} | {7})
    records = [NumberRecord(n=n, count=most, cache_hits=random_.choice((0, most))) for n in indices]
    return RecordRequest(source=random_.randbytes(8).hex(), sequence=random_.choice((1, 2**63 - 1)), records=records)


def filled(random_: random.Random, message: Message) -> Message:
    """Sets most fields to values at their edges."""
    for field in message.DESCRIPTOR.fields:
        if random_.random() < 0.2:
            continue
        if field.message_type is not None and field.is_repeated:
            for _ in range(random_.choice((0, 1, 2, 20, 1_001 if random_.random() < 0.05 else 3))):
                filled(random_, getattr(message, field.name).add())
        elif field.message_type is not None:
            filled(random_, getattr(message, field.name))
        elif field.is_repeated:
            getattr(message, field.name).extend(_edge(random_, field) for _ in range(random_.randrange(4)))
        else:
            setattr(message, field.name, _edge(random_, field))
    return message


def _edge(random_: random.Random, field: Any) -> int | str:
    if field.cpp_type == field.CPPTYPE_STRING:
        return random_.choice(("", "source", "s" * 64, "s" * 65, "\0", "\U0001f600", "'; DROP TABLE numbers; --"))
    bits = 63 if field.cpp_type == field.CPPTYPE_INT64 else 31
    least = 0 if field.cpp_type == field.CPPTYPE_UINT32 else -(2**bits)
    if random_.random() < 0.3:
        return random_.randrange(5)
    return random_.choice([edge for edge in _EDGES if least <= edge < 2**bits])


def mutated(random_: random.Random, text: bytes) -> bytes:
    """A few bytes changed, put in, taken out or cut off."""
    changed = bytearray(text)
    for _ in range(random_.randrange(1, 6)):
        at = random_.randrange(len(changed) + 1)
        length = random_.randrange(4)
        changed[at : at + random_.randrange(4)] = random_.randbytes(length)
    return bytes(changed if random_.random() < 0.8 else changed[: random_.randrange(len(changed) + 1)])


def is_decodable(method: str, request: bytes) -> bool:
    try:
        METHODS[method].FromString(request)
    except DecodeError:
        return False
    return True
