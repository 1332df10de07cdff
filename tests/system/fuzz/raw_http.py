"""Bytes for an HTTP connection that are no HTTP, or nearly."""

import random
from collections.abc import Iterator

from tests.system.fuzz.mutations import cut, mutated

#: Follows a raw request, so that a connection that is still good after it ends.
LAST = b"\r\n\r\nGET /livez HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"

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
    b"POST /fib/batch HTTP/1.1",
    b"POST /fib?n=10 HTTP/1.1",
    b"GET /fib?n=" + b"1" * 20_000 + b" HTTP/1.1",
    b"GET  /fib?n=10  HTTP/1.1",
    b"GET /fib?n=10 HTTP/9.9",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
)
_HEADERS = (
    b"Host: gateway",
    b"Host: gateway\r\nHost: other",
    b"Host: \x80",
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Content-Length: +5",
    b"Content-Length: 5, 5",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 70000",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 3",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: \xff",
    b"Content-Type: application/json",
    b"Content-Encoding: gzip",
    b"Expect: 100-continue",
    b"Expect: \xff",
    b"Connection: upgrade\r\nUpgrade: websocket",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    b"X-Request-ID: a\r\n b",
    b"X-Request-ID: \xe9\xff",
    b"X-Request-ID: " + b"r" * 3_000,
    b": no name",
    b"No colon",
    b"Space : before",
    b"NUL: \x00",
    b"X: " + b"x" * 20_000,
    b"X: " + b"x" * 40_000,
    b"\r\n".join(b"X-%d: x" % place for place in range(120)),
)
_BODIES = (
    b"",
    b"hello",
    b"[1,2,3]",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"7\r\n[1,2,3]\r\n0\r\n\r\n",
    b"7;a=b\r\n[1,2,3]\r\n0\r\nTrailer: x\r\n\r\n",
    b"zz\r\n",
    b"-1\r\n",
    b"ffffffffffffffffff\r\nhello",
    b"5\r\nhel",
    b"0\r\n",
    b"1\r\n1\r\n" * 200,
    b"[" * 70_000,
)


def raw_requests(random_: random.Random, count: int) -> Iterator[bytes]:
    """With a valid request at their end, or cut off."""
    for _ in range(count):
        kind = random_.random()
        if kind < 0.15:
            yield random_.randbytes(random_.randrange(1, 400)) + LAST
            continue
        sent_ahead = 1 if kind < 0.9 else random_.randrange(2, 40)
        text = b"".join(_request(random_) for _ in range(sent_ahead))
        if kind < 0.35:
            yield cut(random_, text)
        else:
            yield (text if kind < 0.65 else mutated(random_, text)) + LAST


def _request(random_: random.Random) -> bytes:
    hosts = [b"Host: gateway"] if random_.random() < 0.8 else []  # without one nothing goes further
    lines = [random_.choice(_LINES), *hosts, *random_.sample(_HEADERS, random_.randrange(5))]
    return b"\r\n".join(lines) + b"\r\n\r\n" + random_.choice(_BODIES)
