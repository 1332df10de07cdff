"""The forms in which one number can be sent, and the header fields that go with each."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from api_gateway.errors import NotAcceptable
from api_gateway.negotiation import Coding, choose_coding, choose_media_type
from service_kit.pb.fibonacci.fib_pb2 import BIG_ENDIAN, DECIMAL, Encoding

RawHeaders = list[tuple[bytes, bytes]]

#: A part of every entity tag: a form that changes gets a new one, or caches would keep the old form for a year.
SCHEMA_VERSION = 1
#: Bytes of text above which gzip pays; it takes decimal digits to 44%.
GZIP_ABOVE_BYTES = 1_024
#: Bytes above which a value leaves as a stream: it would not fit one gRPC message for much longer.
STREAM_ABOVE_BYTES = 1 << 20

#: The numbers whose fields are remembered.
MAX_REMEMBERED = 1_024

#: The largest index whose number JSON also gives as a number: where a signed 64-bit integer ends.
INT64_MAX_INDEX = 92

# log10 of the golden ratio, and its log2 over eight: the digits and the bytes that each index adds.
_DIGITS_PER_INDEX = 0.20898764024997873
_BYTES_PER_INDEX = 0.6942419136306174 / 8


@dataclass(frozen=True, slots=True, eq=False)
class Representation:
    """One media type. `resumable` ones have ranges and a digest: their bytes are those of the encoding."""

    name: str
    media_type: str
    encoding: Encoding.ValueType
    bytes_per_index: float
    resumable: bool
    headers: tuple[tuple[bytes, bytes], ...]

    def predicted_bytes(self, n: int) -> float:
        return n * self.bytes_per_index

    def is_streamed(self, n: int) -> bool:
        return self.predicted_bytes(n) > STREAM_ABOVE_BYTES

    def gzip_pays(self, n: int) -> bool:
        return self.encoding == DECIMAL and self.predicted_bytes(n) > GZIP_ABOVE_BYTES


#: F(n) never changes, so whoever has it need not ask again; a year is the longest that caches believe.
CACHE_CONTROL = "public, max-age=31536000, immutable"
_CACHING = (
    (b"cache-control", CACHE_CONTROL.encode()),
    (b"vary", b"Accept, Accept-Encoding"),
)


JSON = Representation(
    name="json",
    media_type="application/json",
    encoding=DECIMAL,
    bytes_per_index=_DIGITS_PER_INDEX,
    resumable=False,
    headers=((b"content-type", b"application/json"), *_CACHING),
)
TEXT = Representation(
    name="text",
    media_type="text/plain",
    encoding=DECIMAL,
    bytes_per_index=_DIGITS_PER_INDEX,
    resumable=True,
    headers=((b"content-type", b"text/plain; charset=utf-8"), *_CACHING),
)
OCTETS = Representation(
    name="octets",
    media_type="application/octet-stream",
    encoding=BIG_ENDIAN,
    bytes_per_index=_BYTES_PER_INDEX,
    resumable=True,
    headers=((b"content-type", b"application/octet-stream"), *_CACHING),
)

#: By media type, the one that is sent to whoever does not mind first.
REPRESENTATIONS: Mapping[str, Representation] = {form.media_type: form for form in (JSON, TEXT, OCTETS)}
_OFFERS = tuple(REPRESENTATIONS)
_NO_PREFERENCE = frozenset({"", "*/*", "application/json"})


@dataclass(frozen=True)
class Selected:
    """The bytes that a request asks for: a number in one representation and one content coding."""

    n: int
    representation: Representation
    coding: Coding

    @cached_property
    def is_streamed(self) -> bool:
        return self.representation.is_streamed(self.n)

    @cached_property
    def etag(self) -> str:
        coding = "" if self.coding == "identity" else f"-{self.coding}"
        return f'"{self.n}-{self.representation.name}{coding}-{SCHEMA_VERSION}"'

    @property
    def resumable(self) -> bool:
        return self.representation.resumable and self.coding == "identity"

    def headers(self, length: int | None) -> RawHeaders:
        """The fields of a body of so many bytes, or of as many as there will be."""
        fields = list(self._fields)
        if length is not None:
            fields.append((b"content-length", b"%d" % length))
        if self.coding != "identity":
            fields.append((b"content-encoding", self.coding.encode()))
        return fields

    def resumable_headers(self, length: int, *, sha256: bytes) -> RawHeaders:
        """The fields of so many of the bytes. The digest is that of all of them."""
        digest = b"sha-256=:%b:" % base64.b64encode(sha256)
        return [*self.headers(length), (b"accept-ranges", b"bytes"), (b"repr-digest", digest)]

    def part_headers(self, part: range, *, total_bytes: int, sha256: bytes) -> RawHeaders:
        content_range = b"bytes %d-%d/%d" % (part.start, part.stop - 1, total_bytes)
        return [*self.resumable_headers(len(part), sha256=sha256), (b"content-range", content_range)]

    def not_modified_headers(self) -> RawHeaders:
        return [*_CACHING, (b"etag", self.etag.encode())]

    def body(self, value: bytes) -> bytes:
        """The value in its envelope; one that fits int64 also stands before itself."""
        if self.representation is JSON and self.n <= INT64_MAX_INDEX:
            return self._small_envelope % (value, value)
        before, after = self.envelope()
        return before + value + after

    def envelope(self) -> tuple[bytes, bytes]:
        """What stands in the body before and after a value that does not fit int64."""
        return (b'{"n":%d,"value":"' % self.n, b'"}') if self.representation is JSON else (b"", b"")

    @cached_property
    def _small_envelope(self) -> bytes:
        return b'{"n":%d,"x":%%b,"value":"%%b"}' % self.n

    @cached_property
    def _fields(self) -> RawHeaders:
        return [*self.representation.headers, (b"etag", self.etag.encode())]


def select(n: int, *, accept: str, accept_encoding: str | None) -> Selected:
    """What to send of F(n). Raises NotAcceptable."""
    media_type = _OFFERS[0] if accept in _NO_PREFERENCE else choose_media_type(accept, _OFFERS)
    if media_type is None:
        raise NotAcceptable("Accept", _OFFERS)
    representation = REPRESENTATIONS[media_type]
    gzip_pays = representation.gzip_pays(n)
    # Only a weight can refuse identity, and every weight that refuses is written with a 0.
    if not gzip_pays and (accept_encoding is None or "0" not in accept_encoding):
        return _uncoded(n, representation)
    coding = choose_coding(accept_encoding, gzip_pays=gzip_pays)
    if coding is None:
        raise NotAcceptable("Accept-Encoding", ("identity", "gzip"))
    return Selected(n, representation, coding)


@lru_cache(MAX_REMEMBERED)
def _uncoded(n: int, representation: Representation) -> Selected:
    """What nearly every request for a short number asks for; to make its fields anew takes 2 us."""
    return Selected(n, representation, "identity")
