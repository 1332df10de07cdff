"""Everything that is not an answer, as RFC 9457 problems."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

import grpc
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from google.rpc.status_pb2 import Status
from grpc_status.rpc_status import from_call
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from service_kit.request_id import current_request_id
from service_kit.rpc_status import code_of, field_violations

PROBLEM_MEDIA_TYPE = "application/problem+json"
#: What a client waits before it asks again; a service that restarts is back within it.
RETRY_AFTER_SECONDS = "1"
#: The longest name of an unknown parameter that is repeated to its sender.
MAX_ECHO = 64
#: A list of as many indices as a batch may have is far shorter.
MAX_BODY_BYTES = 64 << 10

HTTP_STATUS: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}

#: The codes whose text was written for the caller; the text of any other stays inside.
_READABLE = frozenset({400, 404, 409, 429})

_REFUSALS: Mapping[int, str] = {
    HTTPStatus.NOT_FOUND: "There is no such resource; /openapi.json lists those there are.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This resource does not take the method; the header Allow lists those it takes.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"body must have at most {MAX_BODY_BYTES} bytes",
}

FieldErrors = Sequence[tuple[str, str]]


class ServiceUnavailable(Exception):
    """A service could not be reached within the deadline, or too many requests wait for it already."""

    def __init__(self, service: str) -> None:
        super().__init__(f"{service} is not available")
        self.service = service


class DeadlineExceeded(Exception):
    """A service was reached and did not answer within the deadline."""

    def __init__(self, service: str) -> None:
        super().__init__(f"{service} did not answer in time")
        self.service = service


class UpstreamError(Exception):
    """A service answered with an error: of a whole call or of one item of a batch."""

    def __init__(self, code: grpc.StatusCode, message: str, fields: FieldErrors = ()) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.fields = fields

    @classmethod
    def from_call(cls, error: grpc.aio.AioRpcError) -> "UpstreamError":
        """The error of a call. A CANCELLED that we did not ask for is a stopping server's UNAVAILABLE."""
        code = error.code()
        if code is grpc.StatusCode.CANCELLED:
            code = grpc.StatusCode.UNAVAILABLE
        status = from_call(error)
        return cls(code, error.details() or "", field_violations(status) if status else ())

    def at(self, place: str) -> "UpstreamError":
        """The same error; a field at fault goes by another name in the request that the caller sent."""
        if not self.fields:
            return self
        return UpstreamError(self.code, f"{place}: {self.message}", [(place, allowed) for _, allowed in self.fields])

    @classmethod
    def from_status(cls, status: Status) -> "UpstreamError":
        return cls(code_of(status.code), status.message, field_violations(status))


class BrokenOff(Exception):
    """An answer stopped after its first byte was sent: no status can say so, only a connection that breaks."""

    def __init__(self, service: str, cause: str) -> None:
        super().__init__(f"{service} broke off: {cause}")
        self.service = service
        self.cause = cause


class ClientGone(Exception):
    """The client closed its connection before it had its answer."""


class NotAcceptable(Exception):
    """A request header takes none of the forms in which the resource can be sent."""

    def __init__(self, header: str, offers: Sequence[str]) -> None:
        super().__init__(f"{header} takes none of what can be sent: {', '.join(offers)}")
        self.header = header
        self.offers = offers


class RangeNotSatisfiable(Exception):
    """The range that was asked for has none of the bytes that there are."""

    def __init__(self, total_bytes: int) -> None:
        super().__init__(f"the range has none of the {total_bytes} bytes")
        self.total_bytes = total_bytes


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


def install(app: FastAPI) -> None:
    """Makes every error of the app a problem, in its answers and in its OpenAPI document."""
    app.openapi = partial(_described, app.openapi)  # type: ignore[method-assign]

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        fields = [_field_error(fault) for fault in error.errors()]
        return problem(400, "; ".join(f"{field} {allowed}" for field, allowed in fields[:5]), fields=fields[:5])

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        return _refusal(app, request, error)

    @app.exception_handler(UpstreamError)
    async def upstream(_request: Request, error: UpstreamError) -> JSONResponse:
        status = HTTP_STATUS.get(error.code, 500)
        return problem(status, error.message if status in _READABLE else None, fields=error.fields)

    @app.exception_handler(ServiceUnavailable)
    async def unavailable(_request: Request, error: ServiceUnavailable) -> JSONResponse:
        return problem(503, str(error))

    @app.exception_handler(DeadlineExceeded)
    async def late(_request: Request, error: DeadlineExceeded) -> JSONResponse:
        return problem(504, str(error))

    @app.exception_handler(ClientGone)
    async def gone(_request: Request, _error: ClientGone) -> JSONResponse:
        return problem(499)  # for the log line: nobody reads it

    @app.exception_handler(NotAcceptable)
    async def not_acceptable(_request: Request, error: NotAcceptable) -> JSONResponse:
        return problem(406, str(error), headers={"Vary": error.header})

    @app.exception_handler(RangeNotSatisfiable)
    async def not_satisfiable(_request: Request, error: RangeNotSatisfiable) -> JSONResponse:
        return problem(416, str(error), headers={"Content-Range": f"bytes */{error.total_bytes}"})

    @app.exception_handler(Exception)
    async def crashed(_request: Request, _error: Exception) -> JSONResponse:
        return problem(500)


def _described(openapi: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The document with problems under their media type, where FastAPI writes that of the answers."""
    document = openapi()
    operations = (operation for resource in document["paths"].values() for operation in resource.values())
    for operation in operations:
        content = operation["responses"]["default"]["content"]
        if "application/json" in content:
            content[PROBLEM_MEDIA_TYPE] = content.pop("application/json")
    return document


def _refusal(app: FastAPI, request: Request, error: HTTPException) -> JSONResponse:
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.BAD_REQUEST:  # what FastAPI makes of a body that json fails to read
        return problem(400, "body is not JSON that can be read", fields=[("body", "is not JSON that can be read")])
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _allowed_methods(app, request.url.path, headers.get("Allow", ""))
    return problem(error.status_code, _REFUSALS.get(error.status_code), headers=headers)


def _allowed_methods(app: FastAPI, path: str, routed: str) -> str:
    """The router tells the methods of one route, and a resource may have several; GET also answers HEAD."""
    described = (method.upper() for method in app.openapi()["paths"].get(path, ()))
    return ", ".join(sorted({*described, *routed.split(", ")})).replace("GET", "GET, HEAD")


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
        return "Client Closed Request"
