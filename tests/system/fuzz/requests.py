"""Well-formed HTTP requests whose contents are not."""

import json
import random
import string
from collections.abc import Iterator
from urllib.parse import quote_from_bytes

from tests.system.fuzz.mutations import EDGES, mutated

_PATHS = (
    b"/fib/batch",
    b"/fib/range",
    b"/fib/residue",
    b"/fib/describe",
    b"/stats",
    b"/stats/minutes",
    b"/stats/10",
    b"/stats/-1",
    b"/stats/%00",
    b"/stats/" + b"9" * 400,
    b"/livez",
    b"/readyz",
    b"/",
    b"/fib/",
    b"//fib",
    b"/%66ib",
    b"/fib%00",
    b"/.%2e/fib",
    b"/stats/stream?interval=never&",  # a stream that begins would not end
)
_METHODS = (b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"QUERY")
_NAMES = (b"n", b"n", b"count", b"start", b"modulus", b"limit", b"order", b"page_token", b"interval", b"N", b"n[]", b"")
_ODD_NAMES = (b"\xff", b"__proto__", b"n" * 200)
_HEADERS = (
    b"Accept",
    b"Accept-Encoding",
    b"Content-Type",
    b"If-Match",
    b"If-None-Match",
    b"If-Range",
    b"Last-Event-ID",
    b"Range",
    b"Want-Repr-Digest",
    b"traceparent",
)
_HEADER_VALUES = (
    b"*/*",
    b"text/plain;q=2",
    b"text/event-stream, application/jsonl;q=0.5",
    b"application/octet-stream",
    b"application/json; charset=utf-16",
    b";;q=,,",
    b"gzip;q=nan, identity;q=0",
    b"bytes=0-",
    b"bytes=-1",
    b"bytes=9999999999999999999-",
    b"bytes=5-1, 0-0, -0",
    b"bytes=" + b"0-0," * 500,
    b'"10-json", W/"x", *',
    b'"',
    b"-1",
    b"99999999999999999999",
    b"00-00000000000000000000000000000000-0000000000000000-ff",
    b"\xff\xfe",
    b"\xc3\xa9" * 400,
)
_BODIES = (
    b"",
    b"[]",
    b"null",
    b"{}",
    b'{"n":[1]}',
    b"[1,2,",
    b"[NaN,Infinity,-Infinity]",
    b"[1e400]",
    b'["1",true,null,1.0,[1]]',
    b"[" * 20_000,
    b"[" * 500 + b"]" * 500,
    b'{"a":' * 2_000,
    b"[" + b"9" * 5_000 + b"]",
    b'"\\ud800"',
    b"\xef\xbb\xbf[1]",
    b"\xff\xfe[\x001\x00]\x00",
    b"[" + b"0," * 1_001 + b"0]",
)


def requests(random_: random.Random, count: int) -> Iterator[bytes]:
    """Each leaves its connection open, unless the server refuses to go on with it."""
    for _ in range(count):
        method = b"GET" if random_.random() < 0.7 else random_.choice(_METHODS)
        path = random_.choice(_PATHS) if random_.random() < 0.6 else b"/fib"
        if method == b"POST" and random_.random() < 0.7:
            path = b"/fib/batch"
        body = _body(random_) if method in {b"POST", b"PUT"} or random_.random() < 0.02 else b""
        lines = [b"%b %b HTTP/1.1" % (method, path + _query(random_, path)), b"Host: gateway", *_headers(random_)]
        if body:
            lines.append(b"Content-Length: %d" % len(body))
            if random_.random() < 0.8:  # of another type it is not read
                lines.append(b"Content-Type: application/json")
        yield b"\r\n".join(lines) + b"\r\n\r\n" + body


def _headers(random_: random.Random) -> Iterator[bytes]:
    request_id = "".join(random_.choices(string.printable[:94] + "\xe9", k=random_.randrange(80)))
    yield b"X-Request-ID: " + request_id.encode("latin-1")
    for name in random_.sample(_HEADERS, random_.choice((0, 0, 1, 3))):
        yield name + b": " + random_.choice(_HEADER_VALUES)


def _body(random_: random.Random) -> bytes:
    kind = random_.random()
    if kind < 0.4:
        return random_.choice(_BODIES)
    if kind < 0.5:
        return random_.randbytes(random_.randrange(1, 200))
    numbers = [random_.choice(EDGES) if random_.random() < 0.1 else random_.randrange(300) for _ in range(5)]
    text = json.dumps(numbers).encode()
    return text if kind < 0.7 else mutated(random_, text)


def _query(random_: random.Random, path: bytes) -> bytes:
    pairs = b"&".join(_pair(random_) for _ in range(random_.choice((0, 1, 1, 1, 2, 2, 5, 50))))
    if b"?" in path or not pairs:
        return pairs
    return b"?" + random_.choice((b"", b"", b"", b"&", b";")) + pairs


def _pair(random_: random.Random) -> bytes:
    edge = random_.choice(EDGES)
    value = random_.choice(
        (
            b"%d" % edge,
            b"%d" % random_.randrange(2_000),
            b"%d" % random_.randrange(2_000),
            b" %d" % edge,
            b"+%d" % edge,
            b"%d.0" % edge,
            b"%de3" % edge,
            hex(edge).encode(),
            "٣".encode(),
            b"9" * random_.randrange(1, 1_500),
            b"1" + b"0" * random_.randrange(1, 999),
            random_.randbytes(random_.randrange(60)),
            random_.choice((b"busiest", b"n_descending", b"nan", b"1e-400", b"0.1", b"10,20", b"' OR 1=1 --")),
        )
    )
    name = random_.choice(_NAMES if random_.random() < 0.9 else _ODD_NAMES)
    return f"{quote_from_bytes(name)}={quote_from_bytes(value, safe='+;=&')}".encode()
