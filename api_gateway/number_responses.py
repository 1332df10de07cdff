"""Answers with one number, in the form, coding and range that the request's header fields ask for."""

import asyncio
import hashlib
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope

from api_gateway.compression import Gzip
from api_gateway.disconnection import while_connected
from api_gateway.errors import PreconditionFailed, RangeNotSatisfiable
from api_gateway.fibonacci_client import FibonacciClient
from api_gateway.negotiation import ByteRange, none_match, parse_range, range_holds, some_match
from api_gateway.representations import RawHeaders, Selected, select
from api_gateway.streamed_response import StreamedResponse

#: Under this key of the scope RequestLayer says that the GET it passes on came as a HEAD.
HEAD_KEY = "api_gateway.head"

#: Above this index a computation is long enough to look whether its client is still there.
WATCHED_ABOVE_N = 100_000
#: What is hashed in less time than it takes to wake a thread.
HASHED_INLINE_BYTES = 64 << 10

_READ = frozenset({b"accept", b"accept-encoding", b"if-match", b"if-none-match", b"if-range", b"range"})


async def respond(client: FibonacciClient, n: int, scope: Scope, receive: Receive) -> Response:
    """Raises NotAcceptable, PreconditionFailed, RangeNotSatisfiable and what the client raises."""
    fields = _fields(scope)
    selected = select(n, accept=fields.get(b"accept", ""), accept_encoding=fields.get(b"accept-encoding"))
    if b"if-match" in fields and not some_match(fields[b"if-match"], selected.etag):
        raise PreconditionFailed("If-Match")
    if b"if-none-match" in fields and not none_match(fields[b"if-none-match"], selected.etag):
        return _RawResponse(304, selected.not_modified_headers())
    head = HEAD_KEY in scope
    # RFC 9110 defines ranges for GET alone.
    asked = _asked_range(fields, selected) if b"range" in fields and not head else None
    if selected.is_streamed:
        return StreamedResponse(client, selected, asked, head=head)
    work = client.get(n, selected.representation.encoding)
    value = await (while_connected(receive, work) if n > WATCHED_ABOVE_N else work)
    return await (_resumable(selected, value, asked) if selected.resumable else _enveloped(selected, value))


def _fields(scope: Scope) -> Mapping[bytes, str]:
    """The header fields that choose the answer; one that is sent in several lines means their list."""
    found: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        if name in _READ:
            text = value.decode("latin-1")
            found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def _asked_range(fields: Mapping[bytes, str], selected: Selected) -> ByteRange | None:
    if not selected.resumable or not range_holds(fields.get(b"if-range"), selected.etag):
        return None
    return parse_range(fields[b"range"])


async def _enveloped(selected: Selected, value: bytes) -> Response:
    body = selected.body(value)
    if selected.coding == "gzip":
        gzip = Gzip()
        body = await gzip.compress(body) + await gzip.finish()
    return _RawResponse(200, selected.headers(len(body)), body)


async def _resumable(selected: Selected, value: bytes, asked: ByteRange | None) -> Response:
    sha256 = await _sha256(value)
    if asked is None:
        return _RawResponse(200, selected.resumable_headers(len(value), sha256=sha256), value)
    part = asked.within(len(value))
    if part is None:
        raise RangeNotSatisfiable(len(value))
    headers = selected.part_headers(part, total_bytes=len(value), sha256=sha256)
    return _RawResponse(206, headers, value[part.start : part.stop])


async def _sha256(value: bytes) -> bytes:
    if len(value) <= HASHED_INLINE_BYTES:
        return hashlib.sha256(value).digest()
    return (await asyncio.to_thread(hashlib.sha256, value)).digest()


class _RawResponse(Response):
    """A response whose header fields are complete: Starlette would encode its own first."""

    def __init__(self, status: int, headers: RawHeaders, body: bytes = b"") -> None:
        self.status_code = status
        self.raw_headers = headers
        self.body = body
        self.background = None
