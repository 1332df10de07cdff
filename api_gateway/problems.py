"""Everything that is not an answer, as RFC 9457 problems."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

import grpc
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from api_gateway import deadlines
from api_gateway.errors import (
    ClientGone,
    DeadlineExceeded,
    FieldErrors,
    NotAcceptable,
    PreconditionFailed,
    RangeNotSatisfiable,
    RateLimited,
    ReaderTooSlow,
    ServiceUnavailable,
    TimeoutOutOfBounds,
    TooManyStreams,
    UnsupportedMediaType,
    UpstreamError,
)
from api_gateway.request_facts import note_error
from service_kit.request_id import current_request_id

PROBLEM_MEDIA_TYPE = "application/problem+json"
#: What a client waits before it asks again; a service that restarts is back within it.
RETRY_AFTER_SECONDS = "1"
#: Not of the standard; nginx's.
CLIENT_CLOSED_REQUEST = 499
#: The most that the log says of a cause.
MAX_CAUSE = 300
#: The longest name of an unknown parameter that is repeated to its sender.
MAX_ECHO = 64
#: The most fields at fault that one answer names.
MAX_FIELDS = 5
#: A list of as many indices as a batch may have is far shorter.
MAX_BODY_BYTES = 64 << 10

HTTP_STATUS: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: CLIENT_CLOSED_REQUEST,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}

#: For the OpenAPI document: what a problem is sent as.
CONTENT: dict[str, Any] = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
TOO_MANY_REQUESTS: dict[int | str, dict[str, Any]] = {
    429: {
        "description": "The client asks more often than it may, or more long computations wait than may.",
        "content": CONTENT,
        "headers": {
            "Retry-After": {"schema": {"type": "integer"}, "description": "In how many seconds to ask again."},
            "RateLimit": {
                "schema": {"type": "string"},
                "description": "What is left of each limit, where there is one.",
            },
            "RateLimit-Policy": {"schema": {"type": "string"}, "description": "The limits."},
        },
    }
}

#: The codes whose text was written for the caller; the text of any other stays inside.
_READABLE = frozenset({400, 404, 409, 429})

_REFUSALS: Mapping[int, str] = {
    HTTPStatus.NOT_FOUND: "There is no such resource; /openapi.json lists those there are.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This resource does not take the method; the header Allow lists those it takes.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"body must have at most {MAX_BODY_BYTES} bytes",
}


def problem(
    status: int, detail: str | None = None, *, fields: FieldErrors = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A response that says what is wrong, and for each field at fault what is allowed."""
    body: dict[str, Any] = {"type": "about:blank", "title": _title(status), "status": status}
    if detail is not None:
        body["detail"] = detail
    if fields:
        body["errors"] = [{"field": field, "detail": allowed} for field, allowed in fields]
    body["request_id"] = current_request_id.get()
    every = dict(headers or {})
    if status in (429, 503):
        every.setdefault("Retry-After", RETRY_AFTER_SECONDS)
    return JSONResponse(body, status, headers=every, media_type=PROBLEM_MEDIA_TYPE)


def body_too_long() -> JSONResponse:
    """The answer to a body of more than MAX_BODY_BYTES."""
    return problem(413, _REFUSALS[413])


def of_error(error: Exception) -> JSONResponse | None:
    """The answer to one of the gateway's own errors; None for what nobody foresaw."""
    written = _PROBLEMS.get(type(error))
    return written(error) if written else None


def cause_of(error: Exception) -> str:
    """What the log says of an error: of one of a service, all that a client is not told. On one line, and not long."""
    match error:
        case UpstreamError():
            text = f"{error.service} answered {error}"
        case ServiceUnavailable() | DeadlineExceeded():
            text = f"{error}: {error.cause}"
        case RequestValidationError():  # whose own text repeats all that was sent
            text = _told(_invalid_fields(error))
        case ReaderTooSlow():  # which no problem tells, for its answer has begun
            text = str(error)
        case _:
            text = str(error) if type(error) in _PROBLEMS else f"{type(error).__name__}: {error}"
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text[:MAX_CAUSE])


def install(app: FastAPI) -> None:
    """Makes every error of the app a problem, in its answers and in its OpenAPI document."""
    app.openapi = partial(_described, app.openapi)  # type: ignore[method-assign]
    for kind, written in _PROBLEMS.items():
        app.add_exception_handler(kind, partial(_answer, written))
    app.add_exception_handler(Exception, partial(_answer, lambda _: problem(500)))
    app.add_exception_handler(HTTPException, partial(_refusal, app))


async def _answer(written: Callable[[Any], JSONResponse], request: Request, error: Exception) -> JSONResponse:
    note_error(request.scope, error)
    return written(error)


def _invalid(error: RequestValidationError) -> JSONResponse:
    fields = _invalid_fields(error)
    return problem(400, _told(fields), fields=fields)


def _invalid_fields(error: RequestValidationError) -> FieldErrors:
    return [_field_error(fault) for fault in error.errors()[:MAX_FIELDS]]


def _told(fields: FieldErrors) -> str:
    return "; ".join(f"{field} {allowed}" for field, allowed in fields)


def _upstream(error: UpstreamError) -> JSONResponse:
    status = HTTP_STATUS.get(error.code, 500)
    delay = error.retry_delay_seconds
    # Whole seconds, and never none: rounded up, so that nobody comes again before the time.
    headers = {} if delay is None else {"Retry-After": str(max(1, math.ceil(delay)))}
    return problem(status, error.message if status in _READABLE else None, fields=error.fields, headers=headers)


def _timeout_out_of_bounds(error: TimeoutOutOfBounds) -> JSONResponse:
    allowed = f"must be an integer from 1 to {error.max_milliseconds}"
    return problem(400, f"{error.header} {allowed}", fields=[(error.header, allowed)])


def _unsupported_media_type(error: UnsupportedMediaType) -> JSONResponse:
    allowed = f"must be {error.offer}"
    told = {error.told_in: error.offer}
    return problem(415, f"{error.header} {allowed}", fields=[(error.header, allowed)], headers=told)


_PROBLEMS: dict[type[Exception], Callable[[Any], JSONResponse]] = {
    RequestValidationError: _invalid,
    UpstreamError: _upstream,
    ServiceUnavailable: lambda error: problem(503, str(error)),
    TimeoutOutOfBounds: _timeout_out_of_bounds,
    TooManyStreams: lambda error: problem(503, str(error)),
    RateLimited: lambda error: problem(429, str(error), headers={"Retry-After": str(error.retry_after_seconds)}),
    DeadlineExceeded: lambda error: problem(504, str(error)),
    ClientGone: lambda _: problem(CLIENT_CLOSED_REQUEST),  # for the log line: nobody reads it
    NotAcceptable: lambda error: problem(406, str(error), headers={"Vary": error.header}),
    PreconditionFailed: lambda error: problem(412, str(error)),
    UnsupportedMediaType: _unsupported_media_type,
    RangeNotSatisfiable: lambda error: problem(
        416, str(error), headers={"Content-Range": f"bytes */{error.total_bytes}"}
    ),
}


def _described(openapi: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The document with what every operation has: the deadline's header, and problems under their media type."""
    document = openapi()
    operations = (operation for resource in document["paths"].values() for operation in resource.values())
    for operation in operations:
        parameters = operation.setdefault("parameters", [])
        if deadlines.PARAMETER not in parameters:  # FastAPI gives out the same document again
            parameters.append(deadlines.PARAMETER)
        content = operation["responses"]["default"]["content"]
        if "application/json" in content:
            content[PROBLEM_MEDIA_TYPE] = content.pop("application/json")
    return document


async def _refusal(app: FastAPI, request: Request, error: Any) -> JSONResponse:
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.BAD_REQUEST:  # what FastAPI makes of a body that json fails to read
        return problem(400, "body is not JSON that can be read", fields=[("body", "is not JSON that can be read")])
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _allowed_methods(app, request.url.path, headers.get("Allow", ""))
    return problem(error.status_code, _REFUSALS.get(error.status_code), headers=headers)


def _allowed_methods(app: FastAPI, path: str, routed: str) -> str:
    """The router tells the methods of one route, and a resource may have several; GET also answers HEAD."""
    described = (method.upper() for method in app.openapi()["paths"].get(path, ()))
    methods = {*described, *routed.split(", ")}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def _field_error(fault: Mapping[str, Any]) -> tuple[str, str]:
    field = _field_name(fault["loc"])
    match fault["type"]:
        case "missing":
            return field, "is required"
        case "extra_forbidden":
            return field, "is not a parameter of this resource"
        case "json_invalid":
            return "body", "is not JSON"
        case _:
            return field, str(fault["msg"])


def _field_name(place: Sequence[str | int]) -> str:
    """`n` of the query ("n",), `n[1]` of its second value; `body` and `body[1]` likewise."""
    name, *positions = place if place[0] == "body" else place[1:]
    return str(name)[:MAX_ECHO] + "".join(f"[{position}]" for position in positions)


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Client Closed Request" if status == CLIENT_CLOSED_REQUEST else "Unassigned Status"
