"""Lets pages of other origins read the answers (CORS)."""

import contextvars
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from api_gateway.outer_fields import with_outer_fields
from api_gateway.problems import problem
from service_kit.request_id import HEADER, accept_request_id, current_request_id

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
        """It comes to no layer, so it gets here what every answer has."""
        return contextvars.copy_context().run(self._preflight_response, request_headers)

    def _preflight_response(self, request_headers: Headers) -> Response:
        current_request_id.set(accept_request_id(request_headers.get(HEADER, "")))
        response = super().preflight_response(request_headers)
        if response.status_code == HTTPStatus.BAD_REQUEST:
            response = _refusal(response)
        return with_outer_fields(response)


def _refusal(refused: Response) -> Response:
    """Starlette says in plain text what is not allowed."""
    kept = {name: value for name, value in refused.headers.items() if name not in ("content-length", "content-type")}
    return problem(refused.status_code, bytes(refused.body).decode(), headers=kept)
