"""Refuses a body that does not say of itself that it is plain JSON, before anything takes it for JSON."""

from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from api_gateway.errors import UnsupportedMediaType

MEDIA_TYPE = "application/json"


class JsonBodyRoute(APIRoute):
    """FastAPI would read what is no JSON as one value, and say of that that it has the wrong form."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises UnsupportedMediaType."""
        if self.body_field is not None and scope["method"] in (self.methods or ()):
            _check(Headers(scope=scope))
        await super().handle(scope, receive, send)


def _check(headers: Headers) -> None:
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return  # there is no body
    if not _is_json(headers.get("content-type", "")):
        raise UnsupportedMediaType("Content-Type", MEDIA_TYPE, told_in="Accept")
    codings = {coding.strip().lower() for line in headers.getlist("content-encoding") for coding in line.split(",")}
    if codings - {"identity", ""}:
        raise UnsupportedMediaType("Content-Encoding", "identity", told_in="Accept-Encoding")


def _is_json(content_type: str) -> bool:
    group, _, name = content_type.partition(";")[0].strip().lower().partition("/")
    return group == "application" and (name == "json" or name.endswith("+json"))
