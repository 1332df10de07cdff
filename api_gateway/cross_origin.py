"""Lets pages of other origins read the answers (CORS)."""

import re

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from api_gateway.security_headers import FIELDS

MAX_ORIGINS = 64
ANY_ORIGIN = "*"

_METHODS = ("GET", "HEAD", "POST")
#: What a page may send beside what every page may, and what it may read beside what every page may.
_REQUEST_HEADERS = ("If-None-Match", "If-Range", "Last-Event-ID", "Range", "X-Request-ID", "X-Request-Timeout-Ms")
_RESPONSE_HEADERS = (
    "Accept-Ranges",
    "Content-Range",
    "ETag",
    "RateLimit",
    "RateLimit-Policy",
    "Repr-Digest",
    "Retry-After",
    "X-Request-ID",
)
# As a browser writes it: in lower case, and without a path, not even a slash.
_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>\d{1,5}))?")
_DEFAULT_PORTS = {("http", "80"), ("https", "443")}


def parse_origins(text: str) -> tuple[str, ...]:
    """The origins of a list with commas between. Raises ValueError."""
    origins = tuple(origin.strip() for origin in text.split(","))
    if origins == (ANY_ORIGIN,):
        return origins
    if len(origins) > MAX_ORIGINS:
        raise ValueError(f"has {len(origins)} origins; there may be {MAX_ORIGINS}")
    for origin in origins:
        _check(origin)
    return origins


class CrossOriginLayer(CORSMiddleware):
    """Around everything else, so that problems have its fields too; it answers preflights itself.

    No page may send credentials, for there are none.
    """

    def __init__(self, app: ASGIApp, *, origins: tuple[str, ...]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_RESPONSE_HEADERS,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        response.raw_headers.extend(FIELDS)
        return response


def _check(origin: str) -> None:
    found = _ORIGIN.fullmatch(origin)
    if found is None:
        raise ValueError(
            f"{origin[:60]!r} is not an origin as browsers send it: scheme://host[:port] in lower case, without a path"
        )
    if (found["scheme"], found["port"]) in _DEFAULT_PORTS:
        raise ValueError(f"{origin[:60]!r} has the port that browsers leave out")
