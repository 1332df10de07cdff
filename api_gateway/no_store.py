"""Keeps caches from storing an answer, whatever it is."""

from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from api_gateway.request_facts import add_fields

HEADER = (b"cache-control", b"no-store")


class NoStoreRoute(APIRoute):
    """A cache may keep a 404 unless it is told not to, so the problems of such a route say so too."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        add_fields(scope, HEADER)
        await super().handle(scope, receive, send)
